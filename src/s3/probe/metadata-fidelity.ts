/**
 * What comes back of what is sent along with an object. Each kind has an object of its own: a store that
 * refuses one says nothing about the others.
 */
import { keyFromText } from '../../object-key.ts';
import type { Header } from '../../wire/signature.ts';
import type { StoreAnswer } from '../object-store.ts';
import { parseTagging } from '../tagging.ts';
import type { MetadataFinding, MetadataName } from './capabilities.ts';
import { answerText, isDone, orUnknown, type ProbeSite, unknown } from './probe-site.ts';

const BODY = Buffer.from('what comes with it counts');

/** Values are byte strings. */
const SAMPLES: Readonly<Record<Exclude<MetadataName, 'tags'>, readonly Header[]>> = {
  'ordinary-headers': [
    ['content-type', 'image/x-s3migrate-probe; q="1"'],
    ['cache-control', 'max-age=60, must-revalidate'],
    ['content-disposition', 'attachment; filename="a b.jpg"'],
    ['content-language', 'de, en'],
    ['expires', 'Wed, 21 Oct 2065 07:28:00 GMT'],
    ['x-amz-meta-probe', 'ASCII  with a run of spaces'],
  ],
  'content-encoding': [['content-encoding', 'gzip']],
  'content-encodings': [['content-encoding', 'zstd, custom']],
  'expires-not-a-date': [['expires', '0']],
  'metadata-utf8': [['x-amz-meta-probe', Buffer.from('Zürich', 'utf8').toString('latin1')]],
  'metadata-latin1': [['x-amz-meta-probe', 'Z\xfcrich']],
  'metadata-rfc2047': [['x-amz-meta-probe', '=?UTF-8?B?WsO8cmljaA==?=']],
  'website-redirect': [['x-amz-website-redirect-location', '/elsewhere']],
};

const TAGS = [
  ['probe', '1'],
  ['with a space', 'a/b'],
] as const;
const TAGGING: Header = ['x-amz-tagging', 'probe=1&with%20a%20space=a%2Fb'];

export const METADATA_NAMES = [...Object.keys(SAMPLES), 'tags'] as readonly MetadataName[];

export async function probeMetadata(
  site: ProbeSite,
): Promise<Record<MetadataName, MetadataFinding>> {
  const findings = Object.entries(SAMPLES).map(
    async ([name, headers]) =>
      [name, await orUnknown(() => probeHeaders(site, name, headers))] as const,
  );
  const [tags, ...others] = await Promise.all([orUnknown(() => probeTags(site)), ...findings]);
  return { ...Object.fromEntries(others), tags } as Record<MetadataName, MetadataFinding>;
}

async function probeHeaders(
  site: ProbeSite,
  name: string,
  headers: readonly Header[],
): Promise<MetadataFinding> {
  const key = site.key(name);
  const written = await site.put(key, { body: BODY, headers });
  if (!isDone(written)) return refused(written);
  const head = await site.head(key);
  if (!isDone(head)) return unknown(`HEAD: ${answerText(head)}`);
  for (const [header, sent] of headers) {
    const came = head.headers.get(header);
    if (came === undefined) return { kind: 'dropped', header };
    if (came !== sent) return { kind: 'changed', header, to: came };
  }
  return { kind: 'kept' };
}

async function probeTags(site: ProbeSite): Promise<MetadataFinding> {
  const key = site.key('tags');
  const written = await site.put(key, { body: BODY, headers: [TAGGING] });
  if (!isDone(written)) return refused(written);
  const answer = await site.getTagging(key);
  if (!isDone(answer)) return unknown(`GetObjectTagging: ${answerText(answer)}`);
  const told = parseTagging(answer.text);
  const header = TAGGING[0];
  if (told.size === 0) return { kind: 'dropped', header };
  const same = told.size === TAGS.length && TAGS.every(([name, value]) => told.get(name) === value);
  if (same) return { kind: 'kept' };
  const to = [...told].map(([name, value]) => `${name}=${value}`).join('&');
  return { kind: 'changed', header, to: keyFromText(to) };
}

/** Other objects could be written, so it is what came with this one; but not where the store is in trouble. */
function refused(answer: StoreAnswer): MetadataFinding {
  if (answer.status >= 500 && answer.status !== 501) return unknown(answerText(answer));
  return { kind: 'refused', answer: answerText(answer) };
}
