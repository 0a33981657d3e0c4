/**
 * T4, T10, T11 and their neighbours for ever: after eight attempts the object has failed with the last reason, nothing
 * is at its key, and no upload is left. About a minute of waiting, for all of them side by side.
 */
import type { FaultRule } from '../support/fault-script.ts';
import {
  copied,
  errorDocument,
  type Fate,
  failed,
  isPartOfObject,
  KINDS,
  LOST_ANSWER,
  MAKING,
  ofKinds,
  page,
  type Spot,
  testTogether,
  type Variant,
} from './destination-scene.ts';

const LIMIT_MS = 400_000;
const ATTEMPTS = 8;

const create = ({ script, key }: Spot): FaultRule => script.on('CreateMultipartUpload', key);
const part = ({ script, key }: Spot): FaultRule =>
  script.on('UploadPart', key).where(isPartOfObject);
const making = ({ script, making: operation, key }: Spot): FaultRule => script.on(operation, key);
const content = (spot: Spot): FaultRule =>
  spot.making === 'PutObject' ? making(spot) : part(spot);

const OF_ALL_KINDS: readonly (readonly [
  row: string,
  fault: string,
  given: (spot: Spot) => void,
  fate: Fate,
])[] = [
  [
    'T4',
    '409 for ever',
    (spot) => void making(spot).status(409, { code: 'ConditionalRequestConflict' }),
    failed('ConditionalRequestConflict', 409, ATTEMPTS),
  ],
  [
    'T+',
    '500 for ever, and it was stored',
    (spot) => void making(spot).alter(errorDocument(500, 'InternalError')),
    copied(LOST_ANSWER),
  ],
  [
    'T+',
    '500 for ever, and it was not stored',
    (spot) => void making(spot).status(500, { code: 'InternalError' }),
    failed('InternalError', 500, ATTEMPTS),
  ],
  [
    'T+',
    'a page of a proxy for ever',
    (spot) => void making(spot).alter(page(403)).status(403),
    failed('HTTP 403', 403, ATTEMPTS),
  ],
  [
    'T+',
    'a reset for ever',
    (spot) => void making(spot).disconnect(),
    failed('closed', 0, ATTEMPTS),
  ],
  [
    'T+',
    '412 for ever, and nothing is there',
    (spot) => void making(spot).status(412, { code: 'PreconditionFailed' }),
    failed('exists-but-not-shown', 404, ATTEMPTS),
  ],
  [
    'T+',
    '200 with an error inside for ever',
    (spot) => void making(spot).alter(errorDocument(200, 'InternalError')).status(500),
    failed('InternalError', 200, ATTEMPTS),
  ],
];

const VARIANTS: readonly Variant[] = [
  ...OF_ALL_KINDS.flatMap(([row, fault, given, fate]) =>
    ofKinds(KINDS, () => ({ row, fault, given, fate })),
  ),
  ...ofKinds(['small', 'through'], (kind) => ({
    row: 'T10',
    fault: 'bits flip on the way for ever',
    given: (spot) => void content(spot).corruptUpload(3),
    fate: failed('BadDigest', 400, ATTEMPTS),
    asked: { [MAKING[kind]]: ATTEMPTS },
  })),
  {
    row: 'T10',
    kind: 'parts',
    fault: 'bits of a part flip on the way for ever',
    given: (spot) => void content(spot).corruptUpload(3),
    fate: failed('BadDigest', 400, ATTEMPTS),
  },
  {
    row: 'T11',
    kind: 'parts',
    fault: 'a part fails with 500 for ever',
    given: (spot) => void part(spot).status(500, { code: 'InternalError' }),
    fate: failed('InternalError', 500, ATTEMPTS),
    asked: { CreateMultipartUpload: 1, CompleteMultipartUpload: 0, AbortMultipartUpload: 1 },
  },
  {
    row: 'T11',
    kind: 'parts',
    fault: 'a part is cut for ever',
    given: (spot) => void part(spot).disconnectAfterReading(1000),
    fate: failed('closed', 0, ATTEMPTS),
  },
  {
    row: 'T11',
    kind: 'parts',
    fault: 'Create fails with 500 for ever',
    given: (spot) => void create(spot).status(500, { code: 'InternalError' }),
    fate: failed('InternalError', 500, ATTEMPTS),
    asked: { CreateMultipartUpload: ATTEMPTS },
  },
  {
    row: 'T11',
    kind: 'parts',
    fault: 'Create is answered with an empty upload id for ever',
    given: (spot) =>
      void create(spot)
        .alter(() => ({
          status: 200,
          headers: {},
          body: Buffer.from(
            '<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>',
          ),
        }))
        .status(500),
    fate: failed('no-upload-id', 200, ATTEMPTS),
  },
];

testTogether('for ever', VARIANTS, { timeoutMs: LIMIT_MS });

testTogether(
  '--if-exists overwrite',
  ofKinds(KINDS, () => ({
    row: 'T+',
    fault: 'what is there cannot be overwritten: 500 for ever',
    given: (spot) => {
      spot.othersWrite();
      making(spot).status(500, { code: 'InternalError' });
    },
    // It is there because ours is not: nothing was skipped.
    fate: { ...failed('InternalError', 500, ATTEMPTS), there: 'theirs' },
  })),
  { flags: { 'if-exists': 'overwrite' }, timeoutMs: LIMIT_MS },
);
