/**
 * What belongs to an object besides its content: headers and tags, compared byte for byte.
 */
import type { Side } from '../domain.ts';
import type { Finding } from '../findings.ts';
import { keyFromText, type ObjectKey } from '../object-key.ts';
import { StoreError } from '../s3/object-store.ts';
import type { Header } from '../wire/signature.ts';
import { type Asked, type Comparison, patiently } from './comparison.ts';

/** One finding for each header that one side lacks or has otherwise, by name. */
export function compareMetadata(
  source: readonly Header[],
  destination: readonly Header[],
): Finding[] {
  const ours = new Map(source);
  const theirs = new Map(destination);
  const names = [...new Set([...ours.keys(), ...theirs.keys()])].toSorted();
  return names
    .filter((name) => ours.get(name) !== theirs.get(name))
    .map((name) => ({
      symbol: '*',
      what: `metadata:${name}`,
      source: ours.get(name) ?? '',
      destination: theirs.get(name) ?? '',
    }));
}

/** One finding when the tags differ, or for each side whose tags cannot be read. */
export async function compareTags(
  key: ObjectKey,
  comparison: Comparison,
  errorFinding: (side: Side, error: StoreError) => Finding,
): Promise<Finding[]> {
  const [source, destination] = await Promise.all([
    tagsOf({ key, side: 'source' }, comparison),
    tagsOf({ key, side: 'destination' }, comparison),
  ]);
  const errors: Finding[] = [];
  if (source instanceof StoreError) errors.push(errorFinding('source', source));
  if (destination instanceof StoreError) errors.push(errorFinding('destination', destination));
  if (errors.length > 0 || source === destination) return errors;
  return [{ symbol: '*', what: 'tags', source: String(source), destination: String(destination) }];
}

/** In one order and spelling, as `name=value&name=value`, percent-encoded. */
async function tagsOf(asked: Asked, comparison: Comparison): Promise<string | StoreError> {
  const { key, side } = asked;
  try {
    const tags = await patiently(asked, () => comparison[side].getTagging(key), comparison);
    return keyFromText(new URLSearchParams([...tags].toSorted(byName)).toString());
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    // A store without tags has none.
    return error.kind === 'not-implemented' ? '' : error;
  }
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : Number(a > b);
}
