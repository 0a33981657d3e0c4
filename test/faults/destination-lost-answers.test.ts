/**
 * T2 and T3: a write of ours was carried out, and its answer is lost. Whose object is there is asked, and ours is
 * counted once; another client's stays, and counts as skipped.
 */
import { expect, test } from 'vitest';
import type { Answer } from '../../src/s3-server/answer.ts';
import type { FaultRule } from '../support/fault-script.ts';
import {
  copied,
  errorDocument,
  isPartOfObject,
  KINDS,
  type Kind,
  LOST_ANSWER,
  objectOf,
  ofKinds,
  PROOF,
  page,
  type Spot,
  skipped,
  testTogether,
  type Variant,
} from './destination-scene.ts';

const FOUND = copied(LOST_ANSWER);

function withoutEtag(answer: Answer): Answer {
  const { etag: _, ...headers } = answer.headers;
  const body = Buffer.from(answer.body.toString().replace(/<ETag>.*<\/ETag>/, ''));
  return { ...answer, headers, body };
}

const LOST: readonly (readonly [fault: string, lose: (rule: FaultRule) => FaultRule])[] = [
  ['stored, then a reset', (rule) => rule.loseAnswer('reset')],
  ['stored, then a close', (rule) => rule.loseAnswer('close')],
  ['stored, then half a status line', (rule) => rule.sendRaw('HTTP/1.1 20')],
  ['stored, then half a head', (rule) => rule.sendRaw('HTTP/1.1 200 OK\r\nETag: "', 'reset')],
  ['stored, then what is not HTTP', (rule) => rule.sendRaw('220 mail.example ESMTP\r\n\r\n')],
  [
    'stored, then a 100 and a reset',
    (rule) => rule.sendRaw('HTTP/1.1 100 Continue\r\n\r\n', 'reset'),
  ],
  ['stored, then 200 without an ETag', (rule) => rule.alter(withoutEtag)],
  ['stored, then 500 InternalError', (rule) => rule.alter(errorDocument(500, 'InternalError'))],
  ['stored, then 503 SlowDown', (rule) => rule.alter(errorDocument(503, 'SlowDown'))],
  ['stored, then 502 of a proxy', (rule) => rule.alter(page(502))],
  ['stored, then 504 of a proxy', (rule) => rule.alter(page(504))],
  ['stored, then 524 of a CDN', (rule) => rule.alter(page(524))],
  ['stored, then a 403 page of a proxy', (rule) => rule.alter(page(403))],
  ['stored, then a 408 page of a proxy', (rule) => rule.alter(page(408))],
  ['stored, then a 499 page of a proxy', (rule) => rule.alter(page(499))],
];

const onMaking = ({ script, making, key }: Spot): FaultRule => script.on(making, key);

const T2: readonly Variant[] = [
  ...LOST.flatMap(([fault, lose]) =>
    ofKinds(KINDS, () => ({
      row: 'T2',
      fault,
      given: (spot) => void lose(onMaking(spot)).times(1),
      fate: FOUND,
    })),
  ),
  ...ofKinds(KINDS, () => ({
    row: 'T2',
    fault: 'stored, then 500 three times',
    given: (spot) => void onMaking(spot).alter(errorDocument(500, 'InternalError')).times(3),
    fate: FOUND,
  })),
  ...ofKinds(KINDS, () => ({
    row: 'T2',
    fault: 'stored, then a reset, and looking at it fails twice',
    given: (spot) => {
      onMaking(spot)
        .before(() => spot.script.on('HEAD', spot.key).status(500).times(2))
        .loseAnswer()
        .times(1);
    },
    fate: FOUND,
  })),
  {
    row: 'T2',
    kind: 'parts',
    fault: 'a part is stored, then a reset',
    given: ({ script, key }) => {
      script.on('UploadPart', key).where(isPartOfObject).loseAnswer().times(1);
    },
    fate: copied(PROOF.parts),
  },
];

for (const cores of [1, 2]) {
  const end = testTogether(`--cores ${cores}`, T2, { flags: { cores } });
  test(`T2: every object is counted as uploaded once (--cores ${cores})`, async () => {
    const { ended } = await end();
    expect(ended.stderr).toContain(`skip 0 (dn 0, up 0) + fail 0 + upld ${T2.length}\n`);
    expect(ended.stderr).toContain(`upload    ${T2.length} objects, `);
  });
}

/** The first write is not carried out, or is undone, and what is there then is another client's. */
const LOST_TO_OTHERS: readonly (readonly [fault: string, given: (spot: Spot) => void])[] = [
  [
    'cut before it was stored, and another comes',
    (spot) =>
      void onMaking(spot)
        .before(() => spot.othersWrite())
        .disconnect('reset')
        .times(1),
  ],
  [
    'refused with 500, and another comes',
    (spot) =>
      void onMaking(spot)
        .before(() => spot.othersWrite())
        .status(500)
        .times(1),
  ],
  [
    'stored, then overwritten by another, then a reset',
    (spot) =>
      void onMaking(spot)
        .after(() => spot.othersWrite())
        .loseAnswer()
        .times(1),
  ],
  [
    'stored, then overwritten by another, then 500',
    (spot) =>
      void onMaking(spot)
        .alter(errorDocument(500, 'InternalError'))
        .after(() => spot.othersWrite())
        .times(1),
  ],
];

const T3: readonly Variant[] = [
  ...LOST_TO_OTHERS.flatMap(([fault, given]) =>
    ofKinds(KINDS, () => ({ row: 'T3', fault, given, fate: skipped('exists-differs') })),
  ),
  ...ofKinds(KINDS, (kind) => ({
    row: 'T3',
    fault: 'cut before it was stored, and another of the same length comes',
    given: (spot) => {
      const others = Buffer.alloc(objectOf(kind, spot.key).body.length, 'another');
      onMaking(spot)
        .before(() => spot.othersWrite(others))
        .disconnect('reset')
        .times(1);
    },
    fate: skipped(kind === 'parts' ? 'exists-same-length' : 'exists-differs'),
  })),
];

for (const cores of [1, 2]) testTogether(`--cores ${cores}`, T3, { flags: { cores } });

/** Where writes have no condition, or are preceded by a look, the answer may be lost all the same. */
const otherwise = (proof: (kind: Kind) => string): Variant[] => [
  ...ofKinds(KINDS, () => ({
    row: 'T2',
    fault: 'stored, then a reset',
    given: (spot) => void onMaking(spot).loseAnswer().times(1),
    fate: FOUND,
  })),
  ...ofKinds(KINDS, (kind) => ({
    row: 'T2',
    fault: 'stored, then 500',
    given: (spot) => void onMaking(spot).alter(errorDocument(500, 'InternalError')).times(1),
    fate: copied(proof(kind)),
  })),
];

testTogether(
  '--if-exists head',
  otherwise(() => LOST_ANSWER),
  { flags: { 'if-exists': 'head' } },
);
testTogether(
  '--if-exists overwrite',
  otherwise((kind) => (kind === 'parts' ? LOST_ANSWER : PROOF[kind])),
  { flags: { 'if-exists': 'overwrite' } },
);
