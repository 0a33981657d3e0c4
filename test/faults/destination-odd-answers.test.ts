/**
 * T7, T8 and their neighbours: answers that are not as S3 gives them. Those that are sound HTTP all the same are
 * taken at the first time; an ETag that is not that of what was sent is never taken for a success.
 */
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { Bucket, UploadedPart } from '../../src/s3-server/bucket.ts';
import type { Exchange } from '../../src/s3-server/server.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import type { FaultRule } from '../support/fault-script.ts';
import {
  copied,
  type Fate,
  failed,
  isPartOfObject,
  KINDS,
  MAKING,
  objectOf,
  ofKinds,
  PROOF,
  testTogether,
  type Variant,
} from './destination-scene.ts';
import { Invariants } from './invariants.ts';

type Odd = readonly [fault: string, change: (rule: FaultRule) => FaultRule];

const etagAs =
  (form: (bare: string) => string) =>
  (rule: FaultRule): FaultRule =>
    rule.alter((answer) => {
      const told = answer.headers['etag'];
      const etag = told === undefined ? {} : { etag: form(told.slice(1, -1)) };
      const body = answer.body
        .toString()
        .replace(/(?<=<ETag>)&#34;(.*)&#34;(?=<)/, (_, bare: string) =>
          form(bare).replaceAll('"', '&quot;'),
        );
      return { ...answer, headers: { ...answer.headers, ...etag }, body: Buffer.from(body) };
    });

const interim =
  (send: (exchange: Exchange) => void) =>
  (rule: FaultRule): FaultRule =>
    rule.before(send);

const resetAfterAnswer = ({ response, incoming: { socket } }: Exchange): void => {
  response.once('finish', () => socket.resetAndDestroy());
};

const SOUND: readonly Odd[] = [
  ['a 100 comes first', interim(({ response }) => response.writeContinue())],
  [
    'a 102 and a 103 come first',
    interim(({ response }) => {
      response.writeProcessing();
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    }),
  ],
  ['201 for 200', (rule) => rule.alter((answer) => ({ ...answer, status: 201 }))],
  ['202 for 200', (rule) => rule.alter((answer) => ({ ...answer, status: 202 }))],
  ['the ETag in upper case', etagAs((bare) => `"${bare.toUpperCase()}"`)],
  ['the ETag without quotes', etagAs((bare) => bare)],
  ['the ETag is a weak one', etagAs((bare) => `W/"${bare}"`)],
  ['the ETag with blanks around it', etagAs((bare) => `  "${bare}" `)],
  ['the connection is closed after the answer', (rule) => rule.header('connection', 'close')],
  ['a reset follows the answer', (rule) => rule.after(resetAfterAnswer)],
  [
    'a close follows the answer',
    (rule) =>
      rule.after(({ response, incoming: { socket } }) => {
        response.once('finish', () => socket.destroySoon());
      }),
  ],
  ['the answer is chunked', (rule) => rule.withoutLength('chunked')],
  ['the answer ends with the connection', (rule) => rule.withoutLength('until-close')],
  ['the answer comes byte by byte', (rule) => rule.trickle({ bytes: 1, everyMs: 0 })],
  [
    'the answer has a hundred headers more',
    (rule) =>
      rule.alter((answer) => {
        const more = Array.from({ length: 100 }, (_, i) => [`x-more-${i}`, 'm'.repeat(200)]);
        return { ...answer, headers: { ...answer.headers, ...Object.fromEntries(more) } };
      }),
  ],
];

/** Of single PUTs: an upload is completed by a document. */
const SOUND_OF_PUT: readonly Odd[] = [
  ['204 for 200', (rule) => rule.alter((answer) => ({ ...answer, status: 204 }))],
  [
    'a text in the answer',
    (rule) => rule.alter((answer) => ({ ...answer, body: Buffer.from('stored, thank you') })),
  ],
];

const VARIANTS: readonly Variant[] = [
  ...SOUND.flatMap(([fault, change]) =>
    ofKinds(KINDS, (kind) => ({
      row: 'T+',
      fault,
      given: ({ script, making, key }) => void change(script.on(making, key)),
      fate: copied(PROOF[kind]),
      asked: { [MAKING[kind]]: 1 },
    })),
  ),
  ...SOUND_OF_PUT.flatMap(([fault, change]) =>
    ofKinds(['small', 'through'], (kind) => ({
      row: 'T+',
      fault,
      given: ({ script, key }) => void change(script.on('PutObject', key)),
      fate: copied(PROOF[kind]),
      asked: { PutObject: 1 },
    })),
  ),
  // This server takes the ETag of a part only as it was told.
  ...SOUND.filter(([fault]) => !fault.includes('upper case')).map(
    ([fault, change]): Variant => ({
      row: 'T+',
      kind: 'parts',
      fault: `of each part: ${fault}`,
      given: ({ script, key }) => void change(script.on('UploadPart', key).where(isPartOfObject)),
      fate: copied(PROOF.parts),
    }),
  ),
];

// What an answer means does not depend on the thread that reads it.
testTogether('--cores 2', VARIANTS, { flags: { cores: 2 } });

testTogether(
  'every answer closes the connection, also those to the probe',
  ofKinds(KINDS, (kind) => ({
    row: 'T+',
    fault: 'the connection is closed after each answer',
    given: () => undefined,
    fate: copied(PROOF[kind]),
    asked: { [MAKING[kind]]: 1 },
  })),
  {
    given: ({ destination: { script } }) => {
      script.seeProbe();
      for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const) {
        script.on(method).header('connection', 'close');
      }
    },
  },
);

const OTHER_ETAG = '0123456789abcdef0123456789abcdef';
/** Right, but the destination has said another thing about it. */
const leftThere: Fate = {
  logged: 'failed, wrong-etag',
  there: 'ours',
  failure: 'wrong-etag, 200, 1 attempts',
};

/** The content changes on its way, and the destination does not look at the digest. */
function keepsOtherBytes(rule: FaultRule): FaultRule {
  return rule.ignoreHeaders('content-md5', 'x-amz-checksum-crc32').corruptUpload(5);
}

/** The same of a part, whose upload demands the checksum. */
function keepsOtherPart(rule: FaultRule, bucket: Bucket): FaultRule {
  let etag = '';
  return rule
    .alter((answer) => ({ ...answer, headers: { ...answer.headers, etag: `"${etag}"` } }))
    .after(({ request: { key, query } }) => {
      const upload = bucket.upload(query.get('uploadId') ?? '', key);
      const number = Number(query.get('partNumber'));
      const { body, checksums } = upload.parts.get(number) as UploadedPart;
      const others = Buffer.from(body);
      others.writeUInt8(others.readUInt8(5) ^ 1, 5);
      ({ etag } = bucket.putPart(upload, number, { body: others, checksums }));
    });
}

const T8: readonly Variant[] = [
  ...ofKinds(['small', 'through'], () => ({
    row: 'T8',
    fault: 'the ETag is of other bytes than are kept',
    given: ({ script, key }) => void script.on('PutObject', key).etag(OTHER_ETAG),
    fate: leftThere,
    asked: { PutObject: 1 },
  })),
  {
    row: 'T8',
    kind: 'parts',
    fault: 'the ETag is of other bytes than are kept',
    given: ({ script, key }) =>
      void etagAs(() => `"${OTHER_ETAG}-2"`)(script.on('CompleteMultipartUpload', key)),
    fate: leftThere,
    asked: { CompleteMultipartUpload: 1 },
  },
  ...ofKinds(['small', 'through'], (kind) => ({
    row: 'T8',
    fault: 'other bytes are kept once, and told by the ETag',
    given: ({ script, key }) => void keepsOtherBytes(script.on('PutObject', key)).times(1),
    fate: copied(PROOF[kind]),
    asked: { PutObject: 2, DeleteObject: 1 },
  })),
  {
    row: 'T8',
    kind: 'parts',
    fault: 'other bytes of a part are kept once, and told by its ETag',
    given: ({ script, key, destination }) =>
      void keepsOtherPart(
        script.on('UploadPart', key).where(isPartOfObject),
        destination.bucket,
      ).times(1),
    fate: copied(PROOF.parts),
    asked: { CompleteMultipartUpload: 1, CreateMultipartUpload: 2 },
  },
  ...ofKinds(['small', 'through'], () => ({
    row: 'T8',
    fault: 'other bytes are kept for ever, and told by the ETag',
    given: ({ script, key }) => void keepsOtherBytes(script.on('PutObject', key)),
    fate: failed('wrong-etag', 200, 2),
    asked: { PutObject: 2, DeleteObject: 2 },
  })),
];

for (const cores of [1, 2]) testTogether(`--cores ${cores}`, T8, { flags: { cores } });

/** More than the buffers of the kernels take. */
const LARGE = Buffer.alloc(32 * 1024 ** 2, 'a film of the harbour');

async function givenFilm(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  migration.source.put('film', LARGE);
  await migration.listKeys();
  return { migration, invariants: new Invariants(migration) };
}

test.each([
  [403, 'AccessDenied'],
  [400, 'InvalidArgument'],
  [413, 'EntityTooLarge'],
  [307, 'TemporaryRedirect'],
])(
  'T7: through: %i comes before the content is read, and it is what the object fails with',
  async (status, code) => {
    const { migration, invariants } = await givenFilm();
    const { script } = migration.destination;
    script.on('PutObject').status(status, { code, unread: 'drain' });

    expect(await migration.run()).toMatchObject({ exitCode: 1 });

    const { failed: lines } = await invariants.expectComplete();
    expect(lines).toMatchObject([{ code, status: String(status), attempts: '1' }]);
    expect(script.count('PutObject')).toBe(1);
    expect(migration.destination.bucket.keys()).toEqual([]);
  },
);

test.each([
  [503, 'SlowDown', 'drain'],
  [503, 'SlowDown', 'reset'],
  [403, 'AccessDenied', 'reset'],
  [200, 'None', 'drain'],
] as const)(
  'T7: through: %i %s comes before the content is read (%s) once, and the object is copied or has failed with it',
  async (status, code, unread) => {
    const { migration, invariants } = await givenFilm();
    const { destination } = migration;
    destination.script.on('PutObject').status(status, { code, unread }).times(1);

    const { exitCode } = await migration.run();

    const { migrate, failed: lines } = await invariants.expectComplete();
    if (exitCode === 0) {
      expect(migrate).toMatchObject([{ outcome: 'copied', detail: 'md5' }]);
      expect(destination.bucket.get('film' as ObjectKey)?.body.equals(LARGE)).toBe(true);
    } else {
      // Where the reset did not take the answer away with it.
      expect([exitCode, unread]).toEqual([1, 'reset']);
      expect(lines).toMatchObject([{ code: 'AccessDenied', status: '403', attempts: '1' }]);
    }
  },
);

test('T+: parts: UploadPart answers another ETag each time: the object has failed, and no upload is left', async () => {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  source.bucket.put('film' as ObjectKey, objectOf('parts', 'film'));
  await migration.listKeys();
  const invariants = new Invariants(migration);
  let asked = 0;
  destination.script
    .on('UploadPart')
    .where(isPartOfObject)
    .alter((answer) => {
      const etag = `"${String(asked++).padStart(32, '0')}"`;
      return { ...answer, headers: { ...answer.headers, etag } };
    });

  expect(await migration.run()).toMatchObject({ exitCode: 1 });

  const { failed: lines } = await invariants.expectComplete();
  expect(lines).toMatchObject([{ code: 'InvalidPart', status: '400' }]);
  expect(destination.bucket.keys()).toEqual([]);
  expect(destination.bucket.uploads()).toEqual([]);
});
