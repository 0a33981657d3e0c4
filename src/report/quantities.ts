/**
 * Amounts as an operator reads them: bytes, durations, rates and counts, each in one short form.
 *
 * The forms are those of the progress line (`1.2GB`, `2h:34m:12s`, `12.3/s`); the summary uses the
 * same, so that the two can be compared. Pure.
 */

const BYTE_UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const;
const LARGEST_BYTE_UNIT = BYTE_UNITS.length - 1;

/**
 * Decimal units without a space, one decimal below 10: `999B`, `1.0KB`, `45MB`.
 *
 * A value that would round up to 1000 of a unit is shown as 1.0 of the next.
 *
 * @param bytes ≥ 0; fractions (of a rate) are rounded
 */
export function formatBytes(bytes: number): string {
  let amount = Math.round(bytes);
  if (amount < 1000) return `${amount}B`;
  let unit = 0;
  while (Math.round(amount) >= 1000 && unit < LARGEST_BYTE_UNIT) {
    amount /= 1000;
    unit++;
  }
  // 9.96 has to become `10`, not `10.0`: the choice of form looks at the rounded value.
  const oneDecimal = amount.toFixed(1);
  return `${Number(oneDecimal) < 10 ? oneDecimal : amount.toFixed(0)}${BYTE_UNITS[unit]}`;
}

const SECONDS_PER_MINUTE = 60;
const SECONDS_PER_HOUR = 3600;
const SECONDS_PER_DAY = 86_400;

/**
 * The largest unit and the smaller ones the reader still cares for: `12s`, `4m:09s`, `2h:34m:12s`
 * and, from one day on, `3d:04h:10m`.
 *
 * @param ms ≥ 0; rounded to whole seconds
 */
export function formatDuration(ms: number): string {
  const total = Math.round(ms / 1000);
  const days = Math.floor(total / SECONDS_PER_DAY);
  const hours = Math.floor((total % SECONDS_PER_DAY) / SECONDS_PER_HOUR);
  const minutes = Math.floor((total % SECONDS_PER_HOUR) / SECONDS_PER_MINUTE);
  const seconds = total % SECONDS_PER_MINUTE;
  if (days > 0) return `${days}d:${twoDigits(hours)}h:${twoDigits(minutes)}m`;
  if (hours > 0) return `${hours}h:${twoDigits(minutes)}m:${twoDigits(seconds)}s`;
  if (minutes > 0) return `${minutes}m:${twoDigits(seconds)}s`;
  return `${seconds}s`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** Things a second, one decimal: `12.3/s`. */
export function formatPerSecond(perSecond: number): string {
  return `${perSecond.toFixed(1)}/s`;
}

const BEFORE_THOUSANDS = /\B(?=(?:[0-9]{3})+$)/g;

/** A whole number with its thousands apart, for text: `1,234,567`. By hand: to load Intl takes as long as a hundred transfers. */
export function formatCount(count: number): string {
  return String(count).replace(BEFORE_THOUSANDS, ',');
}
