/**
 * Where below the probe may write: a prefix that every store keeps as it is.
 */
import { MigrateError } from '../../errors.ts';
import { displayText, keyFromText, type ObjectKey, unescapeKey } from '../../object-key.ts';

export const DEFAULT_PROBE_PREFIX = '.s3migrate-probe/';
/** Leaves room for examples of long keys. */
const MAX_PREFIX_BYTES = 256;

/**
 * @param given a key's form in the logs: `\xHH` is a byte
 * @throws MigrateError (2): a prefix that a store might keep under another name would spoil every finding
 */
export function parseProbePrefix(given: string): ObjectKey {
  const prefix = unescapeKey(keyFromText(given));
  const plain = prefix !== undefined && /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*\/?$/.test(prefix);
  const dots = prefix?.split('/').some((part) => part === '.' || part === '..') === true;
  if (plain && !dots && prefix.length <= MAX_PREFIX_BYTES) return prefix;
  throw new MigrateError(`--probe-prefix "${displayText(given)}" cannot be used`, {
    exitCode: 2,
    hint: `Letters, digits, ".", "_", "-" and single slashes between, at most ${MAX_PREFIX_BYTES} bytes; for example ${DEFAULT_PROBE_PREFIX}`,
  });
}
