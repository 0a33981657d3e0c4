/**
 * Sizes as operators write them: `256MiB`, `1GiB`, `64k`, plain bytes.
 */

const SIZE = /^([0-9]+(?:\.[0-9]+)?)\s*(?:([KMGT])(i)?B?|B)?$/i;
const POWERS: Readonly<Record<string, number>> = { K: 1, M: 2, G: 3, T: 4 };

/** @returns whole bytes, or undefined when the text is no size. `K` and `KiB` are 1,024, `KB` is 1,000. */
export function parseSize(text: string): number | undefined {
  const [, digits, unit, binary] = SIZE.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  const power = unit === undefined ? 0 : (POWERS[unit.toUpperCase()] as number);
  const decimal = unit !== undefined && binary === undefined && /b$/i.test(text.trim());
  const bytes = Number(digits) * (decimal ? 1000 : 1024) ** power;
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
}

/** In the largest binary unit that gives a whole number. */
export function formatSize(bytes: number): string {
  for (const [unit, power] of [
    ['GiB', 3],
    ['MiB', 2],
    ['KiB', 1],
  ] as const) {
    const count = bytes / 1024 ** power;
    if (count >= 1 && Number.isInteger(count)) return `${count} ${unit}`;
  }
  return `${bytes} bytes`;
}
