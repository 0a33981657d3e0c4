/**
 * T11: what can go wrong with a multipart upload. It ends in the object, or is aborted: none is left over, but where
 * it is the abort itself that fails or the upload's id that was lost.
 */

import { escapeText } from '../../src/s3/xml.ts';
import type { Answer } from '../../src/s3-server/answer.ts';
import type { S3Request } from '../../src/s3-server/request.ts';
import type { FaultRule } from '../support/fault-script.ts';
import {
  copied,
  errorDocument,
  type Fate,
  failed,
  isPartOfObject,
  LOST_ANSWER,
  PROOF,
  type Spot,
  skipped,
  testTogether,
  type Variant,
} from './destination-scene.ts';

const COPIED = copied(PROOF.parts);
const FOUND = copied(LOST_ANSWER);

type Case = readonly [
  fault: string,
  given: (spot: Spot) => void,
  fate: Fate,
  asked?: Variant['asked'],
];

const create = ({ script, key }: Spot): FaultRule => script.on('CreateMultipartUpload', key);
const part = ({ script, key }: Spot): FaultRule =>
  script.on('UploadPart', key).where(isPartOfObject);
const complete = ({ script, key }: Spot): FaultRule => script.on('CompleteMultipartUpload', key);

/** Somebody's cleaning up takes the upload away. */
function loseUploads({ destination, key }: Spot): void {
  const { bucket } = destination;
  for (const upload of bucket.uploads()) if (upload.key === key) bucket.abortUpload(upload);
}

const XML = { 'content-type': 'application/xml' };
const BLANKS = `<?xml version="1.0" encoding="UTF-8"?>\n${' \n'.repeat(50)}`;

/** What S3 sends while it puts parts together, and then what came of it: what really did, unless told otherwise. */
function afterBlanks(rule: FaultRule, document?: string): FaultRule {
  return rule.alter(({ body }) => {
    const told = document ?? body.toString().replace(/^<\?xml.*?\?>\s*/, '');
    return { status: 200, headers: XML, body: Buffer.from(BLANKS + told) };
  });
}

const error = (code: string): string => `<Error><Code>${code}</Code><Message>no</Message></Error>`;

const CREATING: readonly Case[] = [
  ['Create fails with 500 once', (spot) => void create(spot).status(500).times(1), COPIED],
  [
    'Create fails with 503 SlowDown twice',
    (spot) => void create(spot).status(503, { code: 'SlowDown' }).times(2),
    COPIED,
  ],
  ['Create is cut by a reset once', (spot) => void create(spot).disconnect().times(1), COPIED],
  [
    'Create is answered 200 with an error inside once',
    (spot) => void create(spot).alter(errorDocument(200, 'InternalError')).status(500).times(1),
    COPIED,
  ],
  [
    'Create is refused',
    (spot) => void create(spot).status(403, { code: 'AccessDenied' }),
    failed('AccessDenied', 403, 1),
  ],
  [
    'Create is refused with 400',
    (spot) => void create(spot).status(400, { code: 'InvalidArgument' }),
    failed('InvalidArgument', 400, 1),
  ],
];

const UPLOADING: readonly Case[] = [
  ['a part fails with 500 once', (spot) => void part(spot).status(500).times(1), COPIED],
  [
    'a part is answered 200 with an error inside once',
    (spot) => void part(spot).alter(errorDocument(200, 'InternalError')).status(500).times(1),
    COPIED,
  ],
  [
    'a part is answered without an ETag once',
    (spot) => void part(spot).header('etag', undefined).times(1),
    COPIED,
  ],
  [
    'a part is refused',
    (spot) => void part(spot).status(403, { code: 'AccessDenied' }),
    failed('AccessDenied', 403, 1),
    { CompleteMultipartUpload: 0, AbortMultipartUpload: 1 },
  ],
  [
    'the upload is gone before a part',
    (spot) =>
      void part(spot)
        .before(() => loseUploads(spot))
        .times(1),
    COPIED,
    { CreateMultipartUpload: 2 },
  ],
  [
    'the upload is gone before each part',
    (spot) => void part(spot).before(() => loseUploads(spot)),
    failed('NoSuchUpload', 404, 2),
    { CreateMultipartUpload: 2, CompleteMultipartUpload: 0 },
  ],
];

const COMPLETING: readonly Case[] = [
  ['Complete: blanks, then success', (spot) => void afterBlanks(complete(spot)), COPIED],
  [
    'Complete: blanks one by one, then success',
    (spot) => void afterBlanks(complete(spot).trickle({ bytes: 30, everyMs: 20 })),
    COPIED,
  ],
  [
    'Complete: blanks, then InternalError, and it was not done',
    (spot) => void afterBlanks(complete(spot), error('InternalError')).status(500).times(1),
    COPIED,
    { CompleteMultipartUpload: 2 },
  ],
  [
    'Complete: blanks, then InternalError, and it was done',
    (spot) => void afterBlanks(complete(spot), error('InternalError')).times(1),
    FOUND,
  ],
  [
    'Complete: blanks, then PreconditionFailed',
    (spot) =>
      void afterBlanks(complete(spot), error('PreconditionFailed'))
        .before(() => spot.othersWrite())
        .status(500),
    skipped('exists-differs'),
    { AbortMultipartUpload: 1 },
  ],
  [
    'Complete: blanks, then ConditionalRequestConflict once',
    (spot) =>
      void afterBlanks(complete(spot), error('ConditionalRequestConflict')).status(500).times(1),
    COPIED,
    { CreateMultipartUpload: 2 },
  ],
  [
    'Complete: blanks, then a refusal',
    (spot) => void afterBlanks(complete(spot), error('InvalidPart')).status(500),
    failed('InvalidPart', 200, 1),
    { CompleteMultipartUpload: 1, AbortMultipartUpload: 1 },
  ],
  ...(['close', 'reset'] as const).flatMap((ending): Case[] => [
    [
      `Complete: blanks, then a ${ending}, and it was done`,
      (spot) => void complete(spot).truncateAt(60, ending).alter(blanksOnly).times(1),
      FOUND,
    ],
    [
      `Complete: blanks, then a ${ending}, and it was not done`,
      (spot) => void complete(spot).truncateAt(60, ending).alter(blanksOnly).status(500).times(1),
      COPIED,
      { CompleteMultipartUpload: 2 },
    ],
  ]),
  [
    'Complete: 200 and nothing else, and it was done',
    (spot) => void complete(spot).shorten(0).times(1),
    FOUND,
  ],
  [
    'Complete: done, then a reset, then NoSuchKey for the upload',
    (spot) => {
      complete(spot).loseAnswer().times(1);
      complete(spot).status(404, { code: 'NoSuchKey' });
    },
    FOUND,
  ],
  [
    'Complete: done, then a reset, then 404 without a document',
    (spot) => {
      complete(spot).loseAnswer().times(1);
      complete(spot).shorten(0).status(404);
    },
    FOUND,
  ],
  [
    'Complete: done, then a reset, then 412 about our own object',
    (spot) => {
      complete(spot).loseAnswer().times(1);
      complete(spot).status(412, { code: 'PreconditionFailed' });
    },
    FOUND,
  ],
  [
    'Complete: 412 once although nothing is there',
    (spot) => void complete(spot).status(412, { code: 'PreconditionFailed' }).times(1),
    COPIED,
    { CreateMultipartUpload: 2 },
  ],
  [
    'Complete: the upload is gone',
    (spot) =>
      void complete(spot)
        .before(() => loseUploads(spot))
        .times(1),
    COPIED,
    { CreateMultipartUpload: 2 },
  ],
  [
    'Complete: the upload is gone each time',
    (spot) => void complete(spot).before(() => loseUploads(spot)),
    failed('NoSuchUpload', 404, 2),
    { CreateMultipartUpload: 2 },
  ],
  [
    'Complete: 409 once',
    (spot) => void complete(spot).status(409, { code: 'ConditionalRequestConflict' }).times(1),
    COPIED,
    { CreateMultipartUpload: 2, AbortMultipartUpload: 1 },
  ],
];

function blanksOnly(): Answer {
  return { status: 200, headers: XML, body: Buffer.from(BLANKS) };
}

const abort = ({ script, key }: Spot): FaultRule => script.on('AbortMultipartUpload', key);

/** Of the upload of an object that fails. */
const ABORTS: readonly (readonly [fault: string, given: Case[1]])[] = [
  ['Abort fails with 500 twice', (spot) => void abort(spot).status(500).times(2)],
  ['Abort is cut once', (spot) => void abort(spot).disconnect('close').times(1)],
  ['Abort loses its answer', (spot) => void abort(spot).loseAnswer().times(1)],
  [
    'Abort is answered 200 with a text',
    (spot) =>
      void abort(spot).alter((answer) => ({ ...answer, status: 200, body: Buffer.from('done') })),
  ],
];

const ABORTING = ABORTS.map(([fault, given]): Case => {
  const refuseParts = (spot: Spot): void => {
    part(spot).status(403, { code: 'AccessDenied' });
    given(spot);
  };
  return [fault, refuseParts, failed('AccessDenied', 403, 1)];
});

function variants(cases: readonly Case[]): Variant[] {
  return cases.map(([fault, given, fate, asked]) => ({
    row: 'T11',
    kind: 'parts',
    fault,
    given,
    fate,
    ...(asked !== undefined && { asked }),
  }));
}

for (const cores of [1, 2]) {
  const flags = { cores };
  testTogether(
    `--cores ${cores}`,
    variants([...CREATING, ...UPLOADING, ...COMPLETING, ...ABORTING]),
    { flags },
  );
  testTogether(
    `its upload is left over, --cores ${cores}`,
    variants([
      [
        'Create is carried out and loses its answer',
        (spot) => void create(spot).loseAnswer().times(1),
        COPIED,
        { CreateMultipartUpload: 2 },
      ],
      [
        'a part is refused, and Abort too',
        (spot) => {
          part(spot).status(403, { code: 'AccessDenied' });
          abort(spot).status(403, { code: 'AccessDenied' });
        },
        failed('AccessDenied', 403, 1),
        // Once more at the end of the run.
        { AbortMultipartUpload: 2 },
      ],
    ]),
    { flags, uploadsLeft: 2 },
  );
}

/** Behind the id that the server itself knows, which is 40 characters long. */
const ODD_IDS: readonly (readonly [what: string, end: string])[] = [
  ['a plus, a slash, an equals sign, an ampersand and a percent sign', '+/=&%'],
  ['what looks encoded', '%2F%00%'],
  ['what XML escapes', '<a&b>"c\'d'],
  ['blanks', '  two  blanks'],
  ['letters beyond ASCII', 'é\u{1f600}'],
  ['800 characters', 'x'.repeat(800)],
];

testTogether(
  'odd upload ids',
  ODD_IDS.map(
    ([what, odd]): Variant => ({
      row: 'T+',
      kind: 'parts',
      fault: `upload ids have ${what}`,
      given: ({ script, key }) => {
        create({ script, key } as Spot).alter((answer) => ({
          ...answer,
          body: Buffer.from(answer.body.toString().replace(/(?=<\/UploadId>)/, escapeText(odd))),
        }));
        const withOwnId = (request: S3Request): S3Request => {
          const uploadId = request.query.get('uploadId') ?? '';
          // Of another id it would be the upload of nobody.
          if (!uploadId.endsWith(Buffer.from(odd).toString('latin1'))) return request;
          const query = new Map([...request.query, ['uploadId', uploadId.slice(0, 40)]] as const);
          return { ...request, query };
        };
        for (const operation of ['UploadPart', 'CompleteMultipartUpload'] as const) {
          script.on(operation, key).changeRequest(withOwnId);
        }
      },
      fate: COPIED,
      asked: { CompleteMultipartUpload: 1 },
    }),
  ),
);
