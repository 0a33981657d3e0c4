/** An object that a torture run begins with, on either side. */
import { contentOf, type Dice } from './dice.ts';

const MIB = 1024 ** 2;

/** What `--multipart-threshold` is where there are large objects; its smallest value. */
const LONG_BYTES = 16 * MIB;

export interface GivenObject {
  readonly key: string;
  readonly body: Buffer;
  /** Instead of the true one: `opaque` looks like no MD5, `another` like one. */
  readonly etag?: 'opaque' | 'another';
  /** As if it had been uploaded in parts of this size. */
  readonly partBytes?: number;
}

/** Whether it is copied in parts where the threshold is {@link LONG_BYTES}. */
export function isLong({ body }: Pick<GivenObject, 'body'>): boolean {
  return body.length > LONG_BYTES;
}

/** Whether its ETag is the MD5 of its bytes, so that every change of them on the way shows. */
export function tellsMd5({ etag, partBytes }: GivenObject): boolean {
  return etag === undefined && partBytes === undefined;
}

export function drawLongObject(dice: Dice, key: string): GivenObject {
  const bytes = dice.whole(LONG_BYTES + 1, dice.chance(0.7) ? 24 * MIB : 40 * MIB);
  const body = contentOf(`source ${key}`, bytes);
  if (dice.chance(0.4)) return { key, body };
  return { key, body, partBytes: dice.of([5 * MIB, 8 * MIB, dice.whole(5 * MIB, 20 * MIB)]) };
}

export function drawShortObject(dice: Dice, key: string): GivenObject {
  const body = contentOf(`source ${key}`, drawBytes(dice));
  if (dice.chance(0.06)) return { key, body, partBytes: dice.whole(1, body.length + 1) };
  if (dice.chance(0.04)) return { key, body, etag: dice.of(['opaque', 'another']) };
  return { key, body };
}

function drawBytes(dice: Dice): number {
  if (dice.chance(0.1)) return 0;
  if (dice.chance(0.01)) return dice.whole(256 * 1024 - 1, 700 * 1024);
  return dice.magnitude(1, 20_000);
}
