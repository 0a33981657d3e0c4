/**
 * A store that answers with what nobody should have to read: documents without an end, entities that multiply,
 * pages without an end, and a way to somewhere else. The program ends in good time, with one line, and asks nobody else.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { prepareMigration } from '../cli/migration.ts';
import { type Ended, startProgram } from '../support/run-s3migrate.ts';

type Answering = (request: IncomingMessage, response: ServerResponse) => void;

/** @returns its URL */
async function serve(answer: Answering): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.on('error', () => {});
    if (request.method === 'HEAD') response.end();
    else answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

async function list(url: string): Promise<Ended> {
  const migration = await prepareMigration();
  const args = ['list', '--url', url, '--bucket', 'photos', '--key', 'k', '--secret', 's'];
  const program = startProgram([...args, migration.path('out')], {
    cwd: migration.root,
    env: { NODE_OPTIONS: '--max-old-space-size=256' },
  });
  return program.ended;
}

const HEAD = '<?xml version="1.0"?>';

function listing(content: string): string {
  return `${HEAD}<ListBucketResult><Name>photos</Name>${content}</ListBucketResult>`;
}

function object(key: string): string {
  return `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag></Contents>`;
}

const ENTITIES = Array.from(
  { length: 12 },
  (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(12)}">`,
).join('');

test.each([
  [
    'entities that multiply',
    `${HEAD}<!DOCTYPE x [<!ENTITY e0 "ha">${ENTITIES}]><ListBucketResult><Contents><Key>&e12;</Key></Contents></ListBucketResult>`,
  ],
  [
    'an entity that names a file',
    `${HEAD}<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><ListBucketResult><Contents><Key>&e;</Key></Contents></ListBucketResult>`,
  ],
  ['elements without an end', `${HEAD}${'<a>'.repeat(200_000)}`],
  ['a million opening brackets', '<'.repeat(1_000_000)],
  ['keys that go back', listing(object('b') + object('a'))],
  ['a cut answer without a token', listing('<IsTruncated>true</IsTruncated>')],
])('a listing with %s is refused in one line', async (_, document) => {
  const { exitCode, stderr } = await list(await serve((__, response) => response.end(document)));
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('photos')]);
  expect(stderr).not.toContain('root:');
});

test.each([
  ['the same token', () => 'same'],
  ['ever new tokens', (count: number) => `token-${count}`],
])('a listing that goes on and on with %s and no keys comes to an end', async (_, tokenOf) => {
  let count = 0;
  const url = await serve((__, response) => {
    count++;
    response.end(
      listing(
        `<IsTruncated>true</IsTruncated><NextContinuationToken>${tokenOf(count)}</NextContinuationToken>`,
      ),
    );
  });
  const { exitCode, stderr } = await list(url);
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('cannot be listed')]);
});

test('a listing whose answer has no end is not read for ever', async () => {
  const url = await serve((_, response) => {
    response.write(`${HEAD}<ListBucketResult>`);
    const piece = Buffer.alloc(64 * 1024, 'x');
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
    };
    response.on('drain', more);
    more();
  });
  const { exitCode, stderr } = await list(url);
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining('cannot be listed')]);
});

test.each([301, 302, 303, 307, 308])(
  'a listing that is redirected with %i asks nobody else',
  async (status) => {
    let asked = 0;
    const elsewhere = await serve((_, response) => {
      asked++;
      response.end();
    });
    const url = await serve((_, response) => {
      response
        .writeHead(status, { location: `${elsewhere}/photos`, 'x-amz-bucket-region': 'eu-west-1' })
        .end();
    });
    expect((await list(url)).exitCode).toBe(3);
    expect(asked).toBe(0);
  },
);

test('a key that is too long for S3 is told, and not listed', async () => {
  const url = await serve((_, response) => response.end(listing(object('k'.repeat(2_000)))));
  const { exitCode, stderr } = await list(url);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('no S3 keys')]);
});
