/**
 * An object's tags, as the Tagging document tells them.
 */
import { elementText, innerXml } from './xml.ts';

/** Names and values, as text. */
export type Tags = ReadonlyMap<string, string>;

/** Reads the answer to GetObjectTagging. */
export function parseTagging(xml: string): Tags {
  const tags = innerXml(xml, 'Tag').map(
    (tag) => [elementText(tag, 'Key') ?? '', elementText(tag, 'Value') ?? ''] as const,
  );
  return new Map(tags);
}
