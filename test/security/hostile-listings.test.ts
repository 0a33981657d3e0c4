/**
 * A store that lists what no store should: answers without end, documents that are meant to hurt whoever parses them,
 * keys that lead elsewhere. `list` ends with one clear error, soon, and leaves no list; or with sound lists.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Ended, runProgram } from '../support/run-s3migrate.ts';
import { listen } from '../wire/scripted-server.ts';

type Page = (request: URL, number: number) => string | Iterable<string>;

/** Lists a bucket whose answers the test writes; HEAD finds it. */
async function list(page: Page): Promise<Ended & { requests: number; folder: string }> {
  let requests = 0;
  const server = createServer((request: IncomingMessage, response) => {
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    requests++;
    response.setHeader('content-type', 'application/xml');
    response.on('error', () => {});
    const answer = page(new URL(request.url ?? '', 'http://store.test'), requests);
    if (typeof answer === 'string') response.end(answer);
    else void sendAll(response, answer);
  });
  const port = await listen(server);
  const root = await mkdtemp(join(tmpdir(), 's3migrate-security-'));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    return rm(root, { recursive: true });
  });
  const folder = join(root, 'lists');
  const ended = await runProgram(
    [
      'list',
      `--url=http://127.0.0.1:${port}`,
      '--bucket=photos',
      '--key=user',
      '--secret=list-s3cret',
      folder,
    ],
    { env: { NODE_OPTIONS: '--max-old-space-size=256' } },
  );
  return { ...ended, requests, folder };
}

async function sendAll(
  response: NodeJS.WritableStream & { readonly destroyed?: boolean },
  pieces: Iterable<string>,
): Promise<void> {
  for (const piece of pieces) {
    if (response.destroyed === true) return;
    await new Promise<void>((resolve) => response.write(piece, () => resolve()));
  }
}

function listing(contents: string, { token }: { token?: string } = {}): string {
  const more =
    token === undefined
      ? '<IsTruncated>false</IsTruncated>'
      : `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`;
  return `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType>${more}${contents}</ListBucketResult>`;
}

function entry(key: string): string {
  return `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`;
}

const MEBIBYTE = 'x'.repeat(1024 ** 2);

function* endless(piece: string): Generator<string> {
  yield '<?xml version="1.0"?><ListBucketResult>';
  for (;;) yield piece;
}

const BILLION_LAUGHS = `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">${Array.from(
  { length: 9 },
  (_, i) => `<!ENTITY lol${i + 1} "${`&lol${i === 0 ? '' : i};`.repeat(10)}">`,
).join('')}]><ListBucketResult><Contents><Key>&lol9;</Key></Contents></ListBucketResult>`;

const EXTERNAL = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><ListBucketResult>${entry('k&e;')}</ListBucketResult>`;

describe('a listing that is an attack', () => {
  test.each<[string, Page, RegExp]>([
    ['an answer without end', () => endless(MEBIBYTE), /longer than 8388608 bytes/],
    ['keys without end', () => endless(entry('a').repeat(1000)), /longer than 8388608 bytes/],
    ['the same token again', () => listing('', { token: 't' }), /round in circles/],
    [
      'another token again and again, and no keys',
      (_, number) => listing('', { token: `t${number}` }),
      /round in circles/,
    ],
    ['the first page again', (_, n) => listing(entry('a'), { token: `t${n}` }), /"a" was listed/],
    ['keys out of order', () => listing(entry('b') + entry('a')), /"a" was listed after "b"/],
    ['a billion laughs', () => BILLION_LAUGHS, /has a document type/],
    ['an external entity', () => EXTERNAL, /has a document type/],
    ['deep nesting', () => listing('<a>'.repeat(1_000_000)), /cannot be listed/],
    ['elements that nobody closes', () => '<a>'.repeat(200_000), /cannot be listed/],
    ['a million opening brackets', () => '<'.repeat(1_000_000), /cannot be listed/],
    [
      'a cut answer without a token',
      () => listing('').replace('false', 'true'),
      /cut but has no continuation token/,
    ],
    ['no XML', () => 'x'.repeat(100_000), /cannot be listed/],
  ])('%s: one error, and no list', async (_, page, said) => {
    const { exitCode, stdout, stderr, folder } = await list(page);
    expect(stderr).toMatch(said);
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
    expect(stdout).toBe('');
    expect(exitCode).toBe(3);
    expect(await readdir(folder).catch(() => [])).toEqual([]);
  });

  test('keys that lead out of the folder are keys in a list, and no paths', async () => {
    const keys = ['..%2F..%2Fetc%2Fpasswd', '.hidden', '%2Fabsolute', 'C%3A%5Cwindows'];
    const { exitCode, folder } = await list(() => listing(keys.map(entry).join('')));
    expect(exitCode).toBe(0);
    expect(await readdir(folder)).toEqual(['00000000.txt']);
    expect(await readdir(join(folder, '..'))).toEqual(['lists']);
    expect(await readFile(join(folder, '00000000.txt'), 'latin1')).toBe(
      '../../etc/passwd\n.hidden\n/absolute\nC:\\windows\n',
    );
  });

  test('a key of more than 1,024 bytes is in no list, and told', async () => {
    const long = 'k'.repeat(1025);
    const { exitCode, stderr, folder } = await list(() => listing(entry('a') + entry(long)));
    expect(stderr).toContain('1 keys that are no S3 keys');
    expect(exitCode).toBe(1);
    expect(await readFile(join(folder, '00000000.txt'), 'latin1')).toBe('a\n');
  });
});
