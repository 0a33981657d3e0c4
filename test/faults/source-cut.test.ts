/**
 * S1 to S4: the source's answer is cut, too short, too long, or tells no length. Once or a few times, so that the
 * object arrives in the end; source-permanent.test.ts has the same faults for ever.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Answer, sendAnswer } from '../../src/s3-server/answer.ts';
import type { Exchange } from '../../src/s3-server/server.ts';
import {
  type Flags,
  type Migration,
  type MigrationOptions,
  prepareMigration,
} from '../cli/migration.ts';
import type { FaultRule } from '../support/fault-script.ts';
import { finish } from './finished-run.ts';
import { Invariants } from './invariants.ts';
import { copiedAs, giveObject, onContent, WAYS, type Way } from './ways.ts';

/** A fault by its name, for objects of one way. */
type Faults = Readonly<Record<string, (rule: FaultRule) => FaultRule>>;

/** An object of each way under each fault, and one of each way under none. */
async function givenObjectsUnder(
  faults: Faults,
  options: MigrationOptions = {},
): Promise<Migration> {
  const migration = await prepareMigration(options);
  for (const way of WAYS) {
    giveObject(migration, `sound/${way}`, way);
    for (const [name, fault] of Object.entries(faults)) {
      const key = `${name}/${way}`;
      giveObject(migration, key, way);
      fault(onContent(migration, key, way));
    }
  }
  await migration.listKeys();
  return migration;
}

/** All of the body but its last byte, in an answer whose Content-Length agrees. */
function withoutLastByte(answer: Answer): Answer {
  return { ...answer, body: answer.body.subarray(0, -1) };
}

/** Half of the body and no Content-Length, then the end of the connection. */
function halfWithoutLength(framing: 'chunked' | 'until-close') {
  return ({ response, incoming }: Exchange, { status, headers, body }: Answer): void => {
    response.useChunkedEncodingByDefault = framing === 'chunked';
    response.writeHead(status, { ...headers, connection: 'close' });
    response.write(body.subarray(0, body.length / 2));
    incoming.socket.destroySoon();
  };
}

/** Every object has arrived, and those under a fault were read more than once. */
async function expectAllCopied(migration: Migration, flags: Flags): Promise<void> {
  const { source } = migration;
  const { exitCode, outcomes } = await finish(migration, new Invariants(migration), flags);
  const wanted = source.bucket.keys().map((key) => [key, copiedAs(key.split('/')[1] as Way)]);
  expect(outcomes).toEqual(Object.fromEntries(wanted));
  expect(exitCode).toBe(0);
  for (const [key, , least] of readsOf(migration)) {
    expect([key, source.script.count('GetObject', key) >= least]).toEqual([key, true]);
  }
}

/** The least number of GETs that an object takes with its fault. */
function readsOf({ source }: Migration): (readonly [key: string, way: Way, least: number])[] {
  return source.bucket.keys().map((key) => {
    const [fault, way] = key.split('/') as [string, Way];
    const sound = way === 'parts' ? 3 : 1;
    return [key, way, fault === 'sound' ? sound : sound + 1];
  });
}

describe.each([1, 2])('with --cores %i', (cores) => {
  test('S1: a body that is cut by FIN or RST, anywhere, is read again', async () => {
    const migration = await givenObjectsUnder({
      'fin after the head': (rule) => rule.truncateAt(0).times(1),
      'fin in the middle': (rule) => rule.truncateAt(500).times(1),
      'fin before the last byte': (rule) => rule.truncateAt(999).times(1),
      'rst after the head': (rule) => rule.truncateAt(0, 'reset').times(1),
      'rst in the middle': (rule) => rule.truncateAt(500, 'reset').times(2),
      'rst before the last byte': (rule) => rule.truncateAt(999, 'reset').times(1),
      'fin instead of an answer': (rule) => rule.disconnect('close').times(1),
      'rst instead of an answer': (rule) => rule.disconnect('reset').times(1),
    });
    await expectAllCopied(migration, { cores });
  });

  test('S1: a source that ends each connection after its answer, and does not say so, costs no attempt', async () => {
    const migration = await prepareMigration();
    const keys = await migration.givenPhotos(300);
    migration.source.script.on('GetObject').deliver(({ response, incoming }, answer) => {
      sendAnswer(response, answer);
      response.once('finish', () => incoming.socket.destroySoon());
    });

    const run = await finish(migration, new Invariants(migration), { cores });

    expect(run.exitCode).toBe(0);
    expect(Object.values(run.outcomes)).toEqual(keys.map(() => 'copied md5'));
    expect(migration.source.script.count('GetObject')).toBe(keys.length);
  });

  test('S2: a body that is short in a well-formed answer is not taken for the object', async () => {
    const migration = await givenObjectsUnder({
      'one byte short': (rule) => rule.alter(withoutLastByte).times(1),
      'half of it': (rule) => rule.shorten(500).times(1),
      'nothing of it': (rule) => rule.shorten(0).times(1),
    });
    await expectAllCopied(migration, { cores });
  });

  test('S3: a body that is longer than its Content-Length, or followed by more, disturbs nothing', async () => {
    const migration = await givenObjectsUnder({
      'length too small': (rule) => rule.declareLength(900).times(1),
    });
    // These are whole: what follows them belongs to nothing, and their connections are not used again.
    for (const way of WAYS) {
      const key = `sound/${way}`;
      onContent(migration, key, way).deliver(({ response }, { status, headers, body }) => {
        response.writeHead(status, { ...headers, 'content-length': String(body.length) });
        response.end(
          Buffer.concat([body, Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad')]),
        );
      });
    }
    await expectAllCopied(migration, { cores });
  });

  test('S4: a body without a length is not trusted, however it ends', async () => {
    const migration = await givenObjectsUnder({
      'in chunks': (rule) => rule.withoutLength('chunked').times(1),
      'to the end of the connection': (rule) => rule.withoutLength('until-close').times(1),
      'in chunks, cut': (rule) => rule.deliver(halfWithoutLength('chunked')).times(1),
      'to an early end of the connection': (rule) =>
        rule.deliver(halfWithoutLength('until-close')).times(1),
    });
    await expectAllCopied(migration, { cores });
  });
});

test('S1, S2, S4: what is cut, short or without a length over TLS is read again', async () => {
  const file = (name: string): string => join(import.meta.dirname, '../s3-server', name);
  const cert = file('localhost.cert.pem');
  const tls = { cert: await readFile(cert), key: await readFile(file('localhost.key.pem')) };
  const migration = await givenObjectsUnder(
    {
      'fin after the head': (rule) => rule.truncateAt(0).times(1),
      'fin in the middle': (rule) => rule.truncateAt(500).times(1),
      'fin instead of an answer': (rule) => rule.disconnect('close').times(1),
      'half of it': (rule) => rule.shorten(500).times(1),
      'length too small': (rule) => rule.declareLength(900).times(1),
      'in chunks': (rule) => rule.withoutLength('chunked').times(1),
      'to an early end of the connection': (rule) =>
        rule.deliver(halfWithoutLength('until-close')).times(1),
    },
    { source: { tls } },
  );
  await expectAllCopied(migration, { 'src-ca-file': cert });
});
