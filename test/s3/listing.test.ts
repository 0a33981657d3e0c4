/**
 * Listings: every object once, in byte order, whatever the pages are; and no listing out of order.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MigrateError } from '../../src/errors.ts';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { type ListedObject, type ListingOptions, listObjects } from '../../src/s3/listing.ts';
import type { Answer } from '../../src/s3-server/answer.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { BUCKET, CREDENTIALS, endpointOf, startServer, TLS } from './embedded.ts';

let server: S3Server;
let script: FaultScript;
beforeEach(async () => {
  server = await startServer();
  script = faults(server);
});
afterEach(() => server.close());

const noPrefix = '' as ObjectKey;

const list = (
  prefix: ObjectKey = noPrefix,
  from = server,
  signal = new AbortController().signal,
  more: Partial<ListingOptions> = {},
) =>
  listObjects({
    endpoint: endpointOf(from),
    bucket: BUCKET,
    region: 'us-east-1',
    credentials: CREDENTIALS,
    addressing: 'path',
    prefix,
    signal,
    ...more,
  });

async function collect(pages: AsyncIterable<ListedObject[]>): Promise<ListedObject[][]> {
  const all: ListedObject[][] = [];
  for await (const page of pages) all.push(page);
  return all;
}

async function listed(prefix?: ObjectKey, from?: S3Server): Promise<ListedObject[]> {
  return (await collect(list(prefix, from))).flat();
}

const keys = (objects: readonly ListedObject[]) => objects.map(({ key }) => key);
const fill = (...names: ObjectKey[]) => {
  for (const name of names) server.bucket(BUCKET).put(name, { body: Buffer.from(name, 'latin1') });
};

const AWKWARD = [
  ' leading space',
  'a  b ',
  'a&b"c\'<d>',
  'a+b',
  'a//b',
  'a%41',
  'a?b#c',
  '&amp;',
  '%2B',
  '1e3',
  'tab\tand\u0001',
  'line\r\nend',
  '\uff5e',
  '\u{1f600}',
  'e\u0301',
  '\u00e9',
].map(keyFromText);

it('gives keys byte for byte, in byte order', async () => {
  const all = [...AWKWARD, 'raw\xff\xfe' as ObjectKey];
  fill(...all);
  expect(keys(await listed())).toEqual(all.toSorted());
});

it('gives length, ETag and time of each object', async () => {
  const { etag, lastModified } = server
    .bucket(BUCKET)
    .put(keyFromText('lake'), { body: Buffer.from('water') });
  expect(await listed()).toEqual([
    { key: 'lake', bytes: 5, etag, lastModified: new Date(lastModified) },
  ]);
});

it('decodes keys only when the answer says that they are encoded', async () => {
  const literal = ['a%41', 'a+b', 'a b', '%2B'].map(keyFromText);
  fill(...literal);
  script.on('ListObjectsV2').alter((answer) => {
    const xml = answer.body.toString('latin1');
    const plain = xml
      .replace('<EncodingType>url</EncodingType>', '')
      .replace(/<Key>([^<]*)<\/Key>/g, (_, key: string) => `<Key>${percentDecoded(key)}</Key>`);
    return { ...answer, body: Buffer.from(plain, 'latin1') };
  });
  expect(keys(await listed())).toEqual(literal.toSorted());
});

const percentDecoded = (key: string) => decodeURIComponent(key.replaceAll('+', ' '));

describe('pages', () => {
  const all = Array.from({ length: 2500 }, (_, n) => keyFromText(`k${String(n).padStart(4, '0')}`));
  beforeEach(() => fill(...all));

  it('together hold every key once', async () => {
    const pages = await collect(list());
    expect(pages.map(({ length }) => length)).toEqual([1000, 1000, 500]);
    expect(keys(pages.flat())).toEqual(all);
  });

  it('are asked for while the one before is used', async () => {
    const pages = list();
    await pages.next();
    await script.seen('ListObjectsV2', 2);
    await pages.return(undefined);
  });

  it('hold what begins with the prefix alone', async () => {
    fill(keyFromText('k'), keyFromText('l'));
    expect(keys(await listed(keyFromText('k200')))).toEqual(all.slice(2000, 2010));
    expect(await listed(keyFromText('none'))).toEqual([]);
  });

  it('that are cut but name no next one stop the listing', async () => {
    script
      .on('ListObjectsV2')
      .alter(edited(/<NextContinuationToken>.*<\/NextContinuationToken>/, ''));
    await expect(listed()).rejects.toThrow(/cut but has no continuation token/);
  });

  it('that come again stop the listing', async () => {
    const [first] = await collect(list());
    expect(first).toHaveLength(1000);
    script
      .on('ListObjectsV2')
      .where(({ query }) => query.has('continuation-token'))
      .alter(edited(/<Key>k1000<\/Key>/, '<Key>k0999</Key>'));
    await expect(listed()).rejects.toThrow('key "k0999" was listed after "k0999"');
  });

  it('stop when the run is interrupted', async () => {
    const controller = new AbortController();
    const pages = list(noPrefix, server, controller.signal);
    script.on('ListObjectsV2').hang();
    const page = pages.next();
    await script.seen('ListObjectsV2', 1);
    controller.abort();
    await expect(page).rejects.toBeInstanceOf(MigrateError);
  });
});

const edited =
  (from: RegExp, to: string) =>
  (answer: Answer): Answer => ({
    ...answer,
    body: Buffer.from(answer.body.toString('latin1').replace(from, to), 'latin1'),
  });

it('does not go on after a key out of order, and names both keys', async () => {
  fill(keyFromText('a'), keyFromText('b'));
  script.on('ListObjectsV2').alter(edited(/<Key>b</, '<Key>A<'));
  await expect(listed()).rejects.toMatchObject({
    name: 'MigrateError',
    exitCode: 3,
    message: expect.stringContaining('key "A" was listed after "a"'),
  });
});

it('takes the order by UTF-16 of some stores for what it is', async () => {
  fill(keyFromText('\uff5e'), keyFromText('\u{1f600}'));
  script.on('ListObjectsV2').alter((answer) => {
    const xml = answer.body.toString('latin1');
    const [, first = '', second = ''] =
      /(<Contents>.*<\/Contents>)(<Contents>.*<\/Contents>)/s.exec(xml) ?? [];
    return { ...answer, body: Buffer.from(xml.replace(first + second, second + first), 'latin1') };
  });
  await expect(listed()).rejects.toThrow(/was listed after/);
});

it('gives nothing for an empty bucket', async () => {
  expect(await listed()).toEqual([]);
});

it('tries again what a busy store refuses', async () => {
  fill(keyFromText('a'));
  script.on('ListObjectsV2').status(503, { code: 'SlowDown' }).times(2);
  expect(keys(await listed())).toEqual(['a']);
});

it('repeats no credentials that a store has repeated', async () => {
  const sessionToken = 'a-t0ken-of-a-while';
  const message = `no: ${CREDENTIALS.secret} ${sessionToken}`;
  script.on('ListObjectsV2').status(403, { code: 'AccessDenied', message });
  const credentials = { ...CREDENTIALS, sessionToken };
  const refused = collect(list(noPrefix, server, undefined, { credentials }));
  await expect(refused).rejects.toThrow('AccessDenied: no: *** ***');
});

it('tells the bucket and the reason when it may not list', async () => {
  script.on('ListObjectsV2').status(403, { code: 'AccessDenied', message: 'Not \u001b[2Jyou' });
  const error = await listed().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'MigrateError', exitCode: 3 });
  expect((error as MigrateError).message).toMatch(/^bucket photos cannot be listed: AccessDenied/);
  // oxlint-disable-next-line no-control-regex
  expect((error as MigrateError).message).not.toMatch(/[\u0000-\u001f]/);
  expect((error as MigrateError).hint).toMatch(/s3:ListBucket/);
});

it('speaks TLS with the certificate it is given', async () => {
  const secure = await startServer({ tls: TLS });
  secure.bucket(BUCKET).put(keyFromText('a'), { body: Buffer.alloc(0) });
  expect(keys(await listed(noPrefix, secure))).toEqual(['a']);
  await secure.close();
});

it('is given up when a page comes byte by byte for longer than a page may take', async () => {
  fill(keyFromText('lake'));
  script.on('ListObjectsV2').trickle({ bytes: 1, everyMs: 20 });
  const pages = list(noPrefix, server, new AbortController().signal, { pageWithinMs: 500 });
  await expect(collect(pages)).rejects.toThrow('was not there within 0.5 s');
});
