/**
 * S13, S14 and their neighbours: answers of the source that are odd, or no answers of an S3 store at all. What is
 * odd and sound is taken, byte for byte; what is not is asked for again, and never taken for an object.
 */
import { describe, expect, test } from 'vitest';
import { type Answer, sendAnswer } from '../../src/s3-server/answer.ts';
import type { Exchange } from '../../src/s3-server/server.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import type { FaultRule } from '../support/fault-script.ts';
import { finish } from './finished-run.ts';
import { Invariants } from './invariants.ts';
import { copiedAs, giveObject, onContent, WAYS, type Way } from './ways.ts';

/** The answer as text that the test writes itself, and then the end of the connection. */
function raw(headOf: (answer: Answer) => string, bodyOf = ({ body }: Answer): Buffer => body) {
  return ({ incoming: { socket } }: Exchange, answer: Answer): void => {
    socket.write(`${headOf(answer)}\r\n\r\n`, 'latin1');
    socket.write(bodyOf(answer));
    socket.destroySoon();
  };
}

const STATUS_LINE = { 200: 'HTTP/1.1 200 OK', 206: 'HTTP/1.1 206 Partial Content' } as const;

/** A sound head, with some lines more. */
function headLines(answer: Answer, ...more: readonly string[]): string {
  const named = Object.entries({ ...answer.headers, 'content-length': answer.body.length });
  return [
    STATUS_LINE[answer.status as keyof typeof STATUS_LINE],
    ...named.map(([name, value]) => `${name}: ${value}`),
    'connection: close',
    ...more,
  ].join('\r\n');
}

/** With these lines of the head written otherwise. */
function rewritten(pattern: RegExp, by: string) {
  return raw((answer) => headLines(answer).replaceAll(pattern, by));
}

/** An ETag or other header as it is to be written; undefined leaves it out. */
function withHeader(name: string, value: string | undefined) {
  return (rule: FaultRule): FaultRule => rule.header(name, value);
}

type Fault = (rule: FaultRule) => FaultRule;

const LONG_HEAD = 80 * 1024;

/** Each of these comes with every answer for its object. */
const ODD_BUT_SOUND: Readonly<Record<string, Fault>> = {
  'names in capitals': (rule) =>
    rule.deliver(
      raw((answer) =>
        headLines(answer).replaceAll(/^[a-z-]+(?=:)/gm, (name) => name.toUpperCase()),
      ),
    ),
  'no blank behind the colon': (rule) => rule.deliver(rewritten(/^([a-z-]+): /gm, '$1:')),
  'many blanks around values': (rule) => rule.deliver(rewritten(/: (.*)$/gm, ': \t  $1  \t')),
  'no reason phrase': (rule) => rule.deliver(rewritten(/^(HTTP\/1.1 \d+) .*$/gm, '$1 ')),
  'http 1.0': (rule) => rule.deliver(rewritten(/^HTTP\/1.1/g, 'HTTP/1.0')),
  'the length twice': (rule) => rule.deliver(rewritten(/^(content-length: .*)$/gm, '$1\r\n$1')),
  'an empty header': (rule) => rule.deliver(raw((answer) => headLines(answer, 'x-empty:'))),
  'a hundred headers': (rule) =>
    rule.deliver(
      raw((answer) =>
        headLines(answer, ...Array.from({ length: 100 }, (_, i) => `x-odd-${i}: ${i}`)),
      ),
    ),
  'bytes beyond ascii': (rule) =>
    rule.deliver(raw((answer) => headLines(answer, 'x-odd: \xfc\xff'))),
  'a header of 16 KiB': (rule) =>
    rule.deliver(raw((answer) => headLines(answer, `x-long: ${'x'.repeat(16 * 1024)}`))),
  'a connection for each answer': withHeader('connection', 'close'),
  'early hints': (rule) =>
    rule.deliver(
      raw((answer) => `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${headLines(answer)}`),
    ),
  'a needless continue': (rule) =>
    rule.deliver(raw((answer) => `HTTP/1.1 100 Continue\r\n\r\n${headLines(answer)}`)),
  'a weak etag': (rule) => rule.alter(reworded((etag) => `W/${etag}`)),
  'an etag without quotes': (rule) => rule.alter(reworded((etag) => etag.slice(1, -1))),
};

function reworded(change: (etag: string) => string) {
  return (answer: Answer): Answer => ({
    ...answer,
    headers: { ...answer.headers, etag: change(answer.headers['etag'] as string) },
  });
}

const PAGE = Buffer.from('<!DOCTYPE html><html><body>Please log in to this network</body></html>');

/** A page of a proxy, with nothing of S3 about it. */
function page(status: number, headers: Readonly<Record<string, string>> = {}) {
  return ({ response }: Exchange): void => {
    response.removeHeader('x-amz-request-id');
    sendAnswer(response, {
      status,
      headers: { 'content-type': 'text/html; charset=utf-8', ...headers },
      body: PAGE,
    });
  };
}

/** Each of these comes once, and is no answer to take. */
const UNSOUND: Readonly<Record<string, Fault>> = {
  'a header without a colon': (rule) => rule.deliver(raw((answer) => headLines(answer, 'odd'))),
  'a folded header': (rule) => rule.deliver(raw((answer) => headLines(answer, 'x-odd: a', ' b'))),
  'a NUL in a header': (rule) => rule.deliver(raw((answer) => headLines(answer, 'x-odd: a\0b'))),
  'a bare CR in a header': (rule) =>
    rule.deliver(raw((answer) => headLines(answer, 'x-odd: a\rb'))),
  'two lengths': (rule) => rule.deliver(rewritten(/^(content-length: .*)$/gm, '$1\r\n$10')),
  'a negative length': (rule) =>
    rule.deliver(rewritten(/^content-length: /gm, 'content-length: -')),
  'length and chunks': (rule) =>
    rule.deliver(raw((answer) => headLines(answer, 'transfer-encoding: chunked'))),
  'an unknown encoding': (rule) =>
    rule.deliver(raw((answer) => headLines(answer, 'transfer-encoding: gzip'))),
  'an endless head': (rule) =>
    rule.deliver(raw((answer) => headLines(answer, `x-long: ${'x'.repeat(LONG_HEAD)}`))),
  'a thousand headers': (rule) =>
    rule.deliver(
      raw((answer) =>
        headLines(answer, ...Array.from({ length: 1_000 }, (_, i) => `x-${i}: ${i}`)),
      ),
    ),
  'another protocol': (rule) => rule.deliver(raw(() => 'SSH-2.0-OpenSSH_9.6')),
  'switching protocols': (rule) => rule.deliver(raw(() => 'HTTP/1.1 101 Switching Protocols')),
  'endless hints': (rule) =>
    rule.deliver(raw((answer) => `${'HTTP/1.1 103 Hint\r\n\r\n'.repeat(100)}${headLines(answer)}`)),
  'no content': (rule) => rule.alter((answer) => ({ ...answer, status: 204 })),
  'a status of its own': (rule) => rule.alter((answer) => ({ ...answer, status: 299 })),
  'the other of 200 and 206': (rule) =>
    rule.alter((answer) => ({ ...answer, status: answer.status === 200 ? 206 : 200 })),
  'a page': (rule) => rule.deliver(page(200)),
  'a page with an etag': (rule) =>
    rule.deliver(page(200, { etag: '"5f8a-46"', 'last-modified': new Date(0).toUTCString() })),
  'a page with a weak etag': (rule) =>
    rule.deliver(page(200, { etag: 'W/"46-1a2b3c"', 'last-modified': new Date(0).toUTCString() })),
  'a page instead of 404': (rule) => rule.deliver(page(404)),
  'a page instead of 403': (rule) => rule.deliver(page(403)),
  'a page instead of 400': (rule) => rule.deliver(page(400)),
  'a page instead of 416': (rule) => rule.deliver(page(416)),
  'a page and a redirection': (rule) =>
    rule.deliver(page(302, { location: 'http://portal.test/' })),
  'json instead of 404': (rule) =>
    rule.alter(() => ({
      status: 404,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{"message":"no Route matched with those values"}'),
    })),
  'request timeout of s3': (rule) => rule.status(400, { code: 'RequestTimeout' }),
  'request timeout of a proxy': (rule) =>
    rule.alter(() => ({ status: 408, headers: {}, body: Buffer.alloc(0) })),
};

async function givenEach(faults: Readonly<Record<string, Fault>>): Promise<Migration> {
  const migration = await prepareMigration();
  for (const [name, fault] of Object.entries(faults)) {
    for (const way of WAYS) {
      const key = `${name}/${way}`;
      giveObject(migration, key, way);
      fault(onContent(migration, key, way));
    }
  }
  await migration.listKeys();
  return migration;
}

function allCopied({ source }: Migration): Record<string, string> {
  const keys = source.bucket.keys();
  return Object.fromEntries(keys.map((key) => [key, copiedAs(key.split('/')[1] as Way)]));
}

function once(faults: Readonly<Record<string, Fault>>): Readonly<Record<string, Fault>> {
  return Object.fromEntries(
    Object.entries(faults).map(([name, fault]) => [
      name,
      (rule: FaultRule) => fault(rule).times(1),
    ]),
  );
}

describe.each([1, 2])('with --cores %i', (cores) => {
  test('S13: odd but sound answers are taken as they are', async () => {
    const migration = await givenEach(ODD_BUT_SOUND);
    const run = await finish(migration, new Invariants(migration), { cores });
    expect(run.outcomes).toEqual(allCopied(migration));
    expect(run.stderr).not.toContain('retries');
  });

  test('S14: a web page that is an object is copied, also where its ETag tells nothing', async () => {
    const migration = await prepareMigration();
    const { source } = migration;
    const headers = { 'content-type': 'text/html' };
    source.put('index.html', PAGE, { headers });
    source.put('encrypted.html', PAGE, { headers, etag: 'kms-0f1e2d' });
    await migration.listKeys();
    const run = await finish(migration, new Invariants(migration), { cores });
    expect(run.outcomes).toEqual({
      'encrypted.html': 'copied length-only',
      'index.html': 'copied md5',
    });
  });

  test('S13, S14: answers that are unsound, or of something else than S3, are asked for again', async () => {
    const migration = await givenEach(once(UNSOUND));
    const run = await finish(migration, new Invariants(migration), { cores });
    expect(run.outcomes).toEqual(allCopied(migration));
    const faults = Object.keys(UNSOUND).length * WAYS.length;
    expect(run.stderr).toContain(`  retries   ${faults}\n`);
  });
});
