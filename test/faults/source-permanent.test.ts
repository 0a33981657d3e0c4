/**
 * S1 to S5, S9, S13 and S14 for ever: what passes elsewhere does not here, and each object ends in failed.log after
 * its attempts, with nothing of it at the destination.
 *
 * One run for all of them: their waits, half a minute to a minute, go by side by side. Both numbers of cores run at
 * the same time for the same reason.
 */
import { expect, test } from 'vitest';
import { sendAnswer } from '../../src/s3-server/answer.ts';
import type { Exchange } from '../../src/s3-server/server.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import type { FaultRule } from '../support/fault-script.ts';
import { finish } from './finished-run.ts';
import { Invariants } from './invariants.ts';
import { copiedAs, giveObject, OBJECTS, onContent, WAYS, type Way } from './ways.ts';

interface Fault {
  readonly script: (rule: FaultRule) => FaultRule;
  /** The code in failed.log, where it differs by the object's way. */
  readonly code: string | Readonly<Record<Way, string>>;
  /** The store keeps nothing of what comes under a wrong digest, but it has to be sent to be refused. */
  readonly isOffered?: true;
}

const truncated = { small: 'source-truncated', through: 'source-truncated', parts: 'wrong-range' };
const noLength = { small: 'no-length', through: 'no-length', parts: 'wrong-range' };

const FAULTS: Readonly<Record<string, Fault>> = {
  'S1 fin': { script: (rule) => rule.truncateAt(500), code: 'closed' },
  'S1 rst': { script: (rule) => rule.truncateAt(500, 'reset'), code: 'closed' },
  'S1 fin instead of an answer': { script: (rule) => rule.disconnect('close'), code: 'closed' },
  'S2 short': { script: (rule) => rule.shorten(500), code: truncated, isOffered: true },
  'S2 empty': { script: (rule) => rule.shorten(0), code: truncated, isOffered: true },
  'S3 longer than its length': {
    script: (rule) => rule.declareLength(900),
    code: truncated,
    isOffered: true,
  },
  'S4 in chunks': { script: (rule) => rule.withoutLength('chunked'), code: noLength },
  'S4 to the end': { script: (rule) => rule.withoutLength('until-close'), code: noLength },
  'S9 500': {
    script: (rule) => rule.status(500, { code: 'InternalError' }),
    code: 'InternalError',
  },
  'S9 502 of a proxy': { script: (rule) => rule.deliver(page(502)), code: 'HTTP 502' },
  'S9 503': { script: (rule) => rule.status(503, { code: 'SlowDown' }), code: 'SlowDown' },
  'S9 504': {
    script: (rule) => rule.status(504, { code: 'GatewayTimeout' }),
    code: 'GatewayTimeout',
  },
  'S9 429': {
    script: (rule) => rule.status(429, { code: 'TooManyRequests' }),
    code: 'TooManyRequests',
  },
  'S13 endless head': {
    script: (rule) => rule.header('x-long', 'x'.repeat(80 * 1024)),
    code: 'malformed',
  },
  'S13 no ETag': {
    script: (rule) => rule.header('etag', undefined).header('last-modified', undefined),
    code: 'no-etag',
  },
  'S14 page': {
    script: (rule) => rule.deliver(page(200)),
    code: { small: 'no-etag', through: 'no-etag', parts: 'wrong-range' },
  },
  'S14 page with an ETag': {
    script: (rule) => rule.deliver(page(200, { etag: '"5f8a-46"' })),
    code: { small: 'not-s3', through: 'not-s3', parts: 'wrong-range' },
  },
  'S14 page instead of 404': { script: (rule) => rule.deliver(page(404)), code: 'HTTP 404' },
};

const PAGE = Buffer.from('<!DOCTYPE html><html><body>Please log in to this network</body></html>');

/** Of a proxy, with nothing of S3 about it. */
function page(status: number, headers: Readonly<Record<string, string>> = {}) {
  return ({ response }: Exchange): void => {
    response.removeHeader('x-amz-request-id');
    sendAnswer(response, {
      status,
      headers: { 'content-type': 'text/html', ...headers },
      body: PAGE,
    });
  };
}

function codeOf({ code }: Fault, way: Way): string {
  return typeof code === 'string' ? code : code[way];
}

/** Objects whose ETag proves nothing, so that a wrong answer is not found out by it. */
const UNPROVEN = { body: OBJECTS.small.body, etag: 'kms-0f1e2d' };

/** What is asked for after an answer of 503: the object is there at the end, whatever it was. */
const RETRY_AFTER: Readonly<Record<string, string>> = {
  'a second': '1',
  'ten to the ninth': '1000000000',
  'twenty digits': '99999999999999999999',
  'a date long past': 'Thu, 01 Dec 1994 16:00:00 GMT',
  'a date far ahead': 'Fri, 31 Dec 2100 23:59:59 GMT',
  'less than nothing': '-5',
  'a fraction': '0.5',
  rubbish: 'soon',
  nothing: '',
};

interface Given {
  readonly migration: Migration;
  /** As of migrate.log. */
  readonly wanted: Record<string, string>;
  /** Nothing of them may be sent to the destination. */
  readonly unsent: readonly string[];
}

async function givenFaults(): Promise<Given> {
  const migration = await prepareMigration();
  const { source } = migration;
  const wanted: Record<string, string> = {};
  const unsent: string[] = [];
  for (const way of WAYS) {
    giveObject(migration, `sound/${way}`, way);
    wanted[`sound/${way}`] = copiedAs(way);
    for (const [name, fault] of Object.entries(FAULTS)) {
      const key = `${name}/${way}`;
      giveObject(migration, key, way);
      fault.script(onContent(migration, key, way));
      wanted[key] = `failed ${codeOf(fault, way)}`;
      if (way === 'small' && fault.isOffered === undefined) unsent.push(key);
    }
  }
  for (const way of ['small', 'through'] as const) {
    const key = `S5 flipped/${way}`;
    giveObject(migration, key, way);
    source.script.on('GetObject', key).corrupt(way === 'small' ? 0 : 70_000);
    wanted[key] = 'failed BadDigest';
  }
  source.put('S2 short, its ETag no MD5', UNPROVEN.body, UNPROVEN);
  source.script.on('GetObject', 'S2 short, its ETag no MD5').shorten(400);
  source.put('S2 empty, its ETag of parts', OBJECTS.parts.body, OBJECTS.parts);
  source.script.on('GetObject', 'S2 empty, its ETag of parts').shorten(0);
  source.put('S14 page for every question', UNPROVEN.body, UNPROVEN);
  for (const method of ['GET', 'HEAD'] as const) {
    source.script
      .on(method, 'S14 page for every question')
      .deliver(page(200, { etag: '"5f8a-46"' }));
  }
  Object.assign(wanted, {
    'S2 short, its ETag no MD5': 'failed source-truncated',
    'S2 empty, its ETag of parts': 'failed source-truncated',
    'S14 page for every question': 'failed not-s3',
  });
  unsent.push(
    ...source.bucket.keys().filter((key) => key.includes('its ETag') || key.includes('every')),
  );
  for (const [name, retryAfter] of Object.entries(RETRY_AFTER)) {
    const key = `S9 after ${name}`;
    giveObject(migration, key, 'small');
    source.script.on('GetObject', key).status(503, { code: 'SlowDown', retryAfter }).times(1);
    wanted[key] = 'copied md5';
  }
  await migration.listKeys();
  return { migration, wanted, unsent };
}

async function expectAllFailed(cores: number): Promise<void> {
  const { migration, wanted, unsent } = await givenFaults();
  const run = await finish(migration, new Invariants(migration), { cores, threads: 128 });
  expect(run.exitCode).toBe(1);
  expect(run.outcomes).toEqual(wanted);
  const { script } = migration.destination;
  expect(unsent.filter((key) => script.count('PUT', key) > 0)).toEqual([]);
  const attempts = Array.from(run.failures, ([key, failure]) => [key, failure.attempts]);
  expect(attempts).toEqual(attempts.map(([key]) => [key, '8']));
}

test('S1, S2, S3, S4, S5, S9, S13, S14: what never passes ends in failed.log, and Retry-After is bounded', {
  timeout: 400_000,
}, async () => {
  await Promise.all([expectAllFailed(1), expectAllFailed(2)]);
});
