/**
 * Draws the faults of a round, and the refusals of a whole run.
 *
 * What is tried again costs seconds of waiting when it happens often: there are few of each, and never as many
 * as an object has attempts.
 */
import type { Dice } from './dice.ts';
import type { Fault, FaultKind } from './fault-kinds.ts';
import { type GivenObject, isLong, tellsMd5 } from './given-object.ts';

const MOST_REFUSED = 3;

/** Answers that decide what becomes of a key, for ever. */
export function drawRefusals(dice: Dice, objects: readonly GivenObject[]): Fault[] {
  if (!dice.chance(0.35)) return [];
  return dice.some(objects, dice.whole(1, MOST_REFUSED)).map((object) => {
    const { key, partBytes } = object;
    // One with parts may be written in one PUT or in parts.
    if (dice.chance(0.5) || (partBytes !== undefined && !isLong(object))) {
      const kind = dice.of(['refused: denied', 'refused: archived'] as const);
      return { kind, side: 'source', operation: 'GetObject', key };
    }
    const kind = dice.of(['refused: denied', 'refused: invalid'] as const);
    const operation = isLong(object) ? 'CreateMultipartUpload' : 'PutObject';
    return { kind, side: 'destination', operation, key };
  });
}

/** @param isSparse one of the first objects may be slow, so that pages are done ahead of its own */
export function drawPassingFaults(
  dice: Dice,
  objects: readonly GivenObject[],
  isSparse: boolean,
): Fault[] {
  const [first] = objects;
  if (first === undefined) return [];
  const slow: Fault = {
    kind: 'late',
    side: 'source',
    operation: 'GetObject',
    key: first.key,
    times: 1,
    amount: dice.whole(200, 1300),
  };
  const count = dice.chance(0.5) ? dice.whole(1, 2) : 0;
  const kinds = new Set<FaultKind>();
  const drawn = Array.from({ length: count }, () => drawPassingFault(dice, objects));
  // One of a kind: the same bytes read wrong twice would be taken for the right ones under a wrong ETag.
  const faults = drawn.filter(({ kind }) => !kinds.has(kind) && kinds.add(kind));
  return isSparse && dice.chance(0.5) ? [slow, ...faults] : faults;
}

function drawPassingFault(dice: Dice, objects: readonly GivenObject[]): Fault {
  const object = dice.of(objects);
  const draw = dice.of(isLong(object) ? [ofUpload, ofUpload, ofSource] : [ofSource, ofWrite]);
  return draw(dice, object);
}

const REFUSED_FOR_NOW: readonly FaultKind[] = [
  '503',
  '503 with Retry-After',
  '500',
  '429',
  'closed',
  'reset',
];

function ofSource(dice: Dice, object: GivenObject): Fault {
  const of = { side: 'source', operation: 'GetObject' } as const;
  if (dice.chance(0.35)) return anywhere(dice, { ...of, kind: dice.of(REFUSED_FOR_NOW) });
  if (dice.chance(0.1)) {
    return { side: 'source', operation: 'HeadObject', kind: dice.of(REFUSED_FOR_NOW), times: 1 };
  }
  const { key, body } = object;
  const once = { ...of, key, times: 1 };
  const kinds: FaultKind[] = [
    'body cut by a close',
    'body cut by a reset',
    'no length',
    'no length until the end',
    'late',
    'source changed',
    'source removed',
    'refused: denied',
    'refused: missing',
  ];
  // What is changed on the way shows by an ETag that is the MD5 of the whole alone.
  if (tellsMd5(object) && body.length > 0 && !isLong(object))
    kinds.push('body short', 'body corrupted');
  const kind = dice.of(kinds);
  if (kind === 'source changed' || kind === 'source removed') {
    // Of a large one also between two of its ranges.
    return { ...once, kind, skip: isLong(object) ? dice.whole(0, 4) : 0 };
  }
  if (kind === 'late') return { ...once, kind, amount: dice.whole(1, 200) };
  // Of a body that is cut perhaps nothing is missing.
  if (kind.startsWith('body cut')) return { ...once, kind, amount: dice.whole(0, body.length) };
  if (kind.startsWith('body')) return { ...once, kind, amount: dice.whole(0, body.length - 1) };
  return { ...once, kind };
}

function ofWrite(dice: Dice, { key, body }: GivenObject): Fault {
  const of = { side: 'destination', operation: 'PutObject' } as const;
  if (dice.chance(0.3)) return anywhere(dice, { ...of, kind: dice.of(REFUSED_FOR_NOW) });
  if (dice.chance(0.15)) {
    const kind = dice.of(REFUSED_FOR_NOW);
    return anywhere(dice, { side: 'destination', operation: 'HeadObject', kind });
  }
  const once = { ...of, key, times: 1 };
  const kinds: FaultKind[] = [
    '409',
    '503, body unread',
    'answer lost by a reset',
    'answer lost by a close',
    'wrong ETag',
    'theirs first',
    'theirs first',
    'refused: denied',
  ];
  if (body.length > 0)
    kinds.push('upload corrupted', 'cut while it was sent', 'closed while it was sent');
  const kind = dice.of(kinds);
  const counts = kind === 'upload corrupted' || kind.endsWith('while it was sent');
  return counts ? { ...once, kind, amount: dice.whole(0, body.length - 1) } : { ...once, kind };
}

function ofUpload(dice: Dice, { key }: GivenObject): Fault {
  const once = { side: 'destination', key, times: 1 } as const;
  const lost = ['answer lost by a reset', 'answer lost by a close'] as const;
  const sent = ['cut while it was sent', 'closed while it was sent'] as const;
  switch (dice.of(['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'] as const)) {
    case 'CreateMultipartUpload':
      return {
        ...once,
        operation: 'CreateMultipartUpload',
        kind: dice.of([...REFUSED_FOR_NOW, ...lost]),
      };
    case 'UploadPart':
      return {
        ...once,
        operation: 'UploadPart',
        kind: dice.of([...REFUSED_FOR_NOW, ...lost, ...sent, 'upload corrupted'] as const),
        skip: dice.whole(0, 4),
        amount: dice.whole(0, 1024 ** 2),
      };
    case 'CompleteMultipartUpload':
      return {
        ...once,
        operation: 'CompleteMultipartUpload',
        kind: dice.of([
          ...REFUSED_FOR_NOW,
          ...lost,
          'error in a 200',
          '409',
          'theirs first',
        ] as const),
      };
  }
}

/** One to three requests, whatever their keys. */
function anywhere(dice: Dice, fault: Omit<Fault, 'times' | 'skip' | 'key'>): Fault {
  return { ...fault, times: dice.whole(1, 3), skip: dice.magnitude(0, 40) };
}
