/**
 * T4, T10 and their neighbours: what goes wrong once and then not again leaves no trace but the retry.
 */

import type { FaultRule } from '../support/fault-script.ts';
import {
  copied,
  errorDocument,
  isPartOfObject,
  KINDS,
  LOST_ANSWER,
  ofKinds,
  PROOF,
  page,
  type Spot,
  skipped,
  testTogether,
  type Variant,
} from './destination-scene.ts';

type Given = (spot: Spot) => void;

/** The requests that bring content: one PUT, or each part. */
function onContent({ script, making, key }: Spot): FaultRule {
  return making === 'PutObject'
    ? script.on('PutObject', key)
    : script.on('UploadPart', key).where(isPartOfObject);
}

const ofStore = (status: number, code: string): [string, Given] => [
  `${status} ${code} once`,
  ({ script, making, key }) => void script.on(making, key).status(status, { code }).times(1),
];

const ofProxy = (status: number): [string, Given] => [
  `a page of a proxy once, ${status}`,
  ({ script, making, key }) =>
    void script.on(making, key).alter(page(status)).status(status).times(1),
];

const PASSING: readonly (readonly [row: string, fault: string, given: Given])[] = [
  ['T4', ...ofStore(409, 'ConditionalRequestConflict')],
  ['T4', ...ofStore(409, 'OperationAborted')],
  ['T4', ...ofProxy(409)],
  ['T+', ...ofStore(400, 'RequestTimeout')],
  ['T+', ...ofStore(400, 'IncompleteBody')],
  ['T+', ...ofStore(400, 'ThrottlingException')],
  ['T+', ...ofStore(408, 'RequestTimeout')],
  ['T+', ...ofStore(408, 'Whatever')],
  ['T+', ...ofStore(425, 'TooEarly')],
  ['T+', ...ofStore(429, 'TooManyRequests')],
  ['T+', ...ofStore(499, 'ClientDisconnected')],
  ['T+', ...ofStore(500, 'InternalError')],
  ['T+', ...ofStore(503, 'SlowDown')],
  ...[302, 400, 402, 403, 404, 408, 412, 429, 451, 499, 500, 501, 502, 503, 504].map(
    (status): [string, string, Given] => ['T+', ...ofProxy(status)],
  ),
  ...[520, 521, 522, 523, 524, 525, 526, 527, 529, 530].map((status): [string, string, Given] => [
    'T+',
    ...ofProxy(status),
  ]),
  [
    'T+',
    '200 with a web page once',
    ({ script, making, key }) => void script.on(making, key).alter(page(200)).status(500).times(1),
  ],
  ...['InternalError', 'SlowDown', 'RequestTimeout'].map((code): [string, string, Given] => [
    'T+',
    `200 with ${code} inside once`,
    ({ script, making, key }) =>
      void script.on(making, key).alter(errorDocument(200, code)).status(500).times(1),
  ]),
  [
    'T+',
    '200 with an ETag and InternalError inside once',
    ({ script, making, key }) =>
      void script
        .on(making, key)
        .header('etag', '"0123456789abcdef0123456789abcdef"')
        .alter(errorDocument(200, 'InternalError'))
        .status(500)
        .times(1),
  ],
  ['T10', 'a bit flips on the way once', (spot) => void onContent(spot).corruptUpload(7).times(1)],
  ['T10', 'a bit flips on the way twice', (spot) => void onContent(spot).corruptUpload(9).times(2)],
  ...(['close', 'reset'] as const).flatMap((ending): [string, string, Given][] => [
    [
      'T7',
      `the content is read and a ${ending} follows`,
      (spot) => void onContent(spot).disconnect(ending).times(1),
    ],
    [
      'T7',
      `a ${ending} in the middle of the content`,
      (spot) => void onContent(spot).disconnectAfterReading(500, ending).times(1),
    ],
  ]),
  [
    'T+',
    'the answer to the content has a malformed head once',
    (spot) =>
      void onContent(spot)
        .disconnect()
        .before(({ incoming }) => incoming.socket.write('HTTP/1.1 200 OK\r\nno colon\r\n\r\n'))
        .times(1),
  ],
];

const VARIANTS: readonly Variant[] = [
  ...PASSING.flatMap(([row, fault, given]) =>
    ofKinds(KINDS, (kind) => ({ row, fault, given, fate: copied(PROOF[kind]) })),
  ),
  ...ofKinds(KINDS, () => ({
    row: 'T4',
    fault: '409, and who was in conflict has won',
    given: ({ script, making, key, othersWrite }) =>
      void script
        .on(making, key)
        .before(() => othersWrite())
        .status(409, { code: 'ConditionalRequestConflict' })
        .times(1),
    fate: skipped('exists-differs'),
  })),
  ...ofKinds(KINDS, () => ({
    row: 'T4',
    fault: 'stored, then 500, then 409',
    given: ({ script, making, key }) => {
      script.on(making, key).alter(errorDocument(500, 'InternalError')).times(1);
      script.on(making, key).status(409, { code: 'OperationAborted' }).times(1);
    },
    fate: copied(LOST_ANSWER),
  })),
];

for (const cores of [1, 2]) testTogether(`--cores ${cores}`, VARIANTS, { flags: { cores } });
