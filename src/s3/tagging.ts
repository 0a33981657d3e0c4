/**
 * An object's tags, as the Tagging document tells them.
 */
import { elementText } from './xml.ts';

/** Names and values, as text. */
export type Tags = ReadonlyMap<string, string>;

/** Reads the answer to GetObjectTagging. */
export function parseTagging(xml: string): Tags {
  const tags = [...xml.matchAll(/<Tag>([\s\S]*?)<\/Tag>/g)].map(
    ([, tag = '']) => [elementText(tag, 'Key') ?? '', elementText(tag, 'Value') ?? ''] as const,
  );
  return new Map(tags);
}
