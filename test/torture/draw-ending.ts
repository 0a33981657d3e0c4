/** Draws how and when a start is ended. */
import type { OperationName } from '../../src/s3-server/routing.ts';
import type { Dice } from './dice.ts';
import type { Ending, Moment } from './ending.ts';
import { type GivenObject, isLong } from './given-object.ts';

/** Of the built program on an idle machine, in ms: it starts, probes, and copies a few hundred objects. */
const STARTED_MS = 120;
const ENDED_MS = 700;

/**
 * @param isAlone no other start is under way: only then may a request hang, which this start alone must be
 *   ended for
 */
export function drawEnding(dice: Dice, objects: readonly GivenObject[], isAlone: boolean): Ending {
  const moment = drawMoment(dice, objects, isAlone);
  if (moment.kind === 'log' || dice.chance(0.7)) return { signals: ['SIGKILL'], moment };
  const signal = dice.of(['SIGINT', 'SIGTERM'] as const);
  const hangs = moment.kind === 'request' && moment.edge === 'hangs';
  // One who waits for what hangs is ended by a second signal alone.
  return hangs || dice.chance(0.4)
    ? { signals: [signal, dice.of(['SIGINT', 'SIGTERM'] as const)], moment }
    : { signals: [signal], moment };
}

function drawMoment(dice: Dice, objects: readonly GivenObject[], isAlone: boolean): Moment {
  if (dice.chance(0.2)) return { kind: 'time', ms: dice.whole(STARTED_MS, ENDED_MS) };
  if (dice.chance(0.35)) {
    const edge = dice.of(['before', 'half', 'after'] as const);
    return { kind: 'log', nth: dice.whole(1, 34), edge };
  }
  if (dice.chance(0.15)) return { kind: 'folder', nth: dice.whole(1, 14) };
  const edge = dice.of(['arrives', 'done', ...(isAlone ? (['hangs'] as const) : [])] as const);
  const [side, operation, most] = drawPlace(dice, objects);
  return { kind: 'request', side, operation, nth: dice.magnitude(1, Math.max(1, most)), edge };
}

/** An exchange, and how many of it there are about. */
function drawPlace(
  dice: Dice,
  objects: readonly GivenObject[],
): ['source' | 'destination', OperationName, number] {
  const large = objects.filter(isLong).length;
  const places: ['source' | 'destination', OperationName, number][] = [
    ['source', 'GetObject', objects.length],
    ['destination', 'PutObject', objects.length],
    ['destination', 'PutObject', objects.length],
    ['destination', 'HeadObject', 2],
  ];
  if (large > 0) {
    places.push(
      ['source', 'GetObject', 8 * large],
      ['destination', 'CreateMultipartUpload', large],
      ['destination', 'UploadPart', 5 * large],
      ['destination', 'UploadPart', 5 * large],
      ['destination', 'CompleteMultipartUpload', large],
      ['destination', 'CompleteMultipartUpload', large],
    );
  }
  return dice.of(places);
}
