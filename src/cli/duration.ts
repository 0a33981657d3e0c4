/**
 * Durations as operators write them: `90s`, `15m`, `1h`, `2d`, plain seconds.
 */

const DURATION = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(ms|s|m|min|h|d)?$/i;
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** @returns whole ms, or undefined when the text is no duration */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit = 's'] = DURATION.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  return Math.round(Number(digits) * (UNIT_MS[unit.toLowerCase()] as number));
}
