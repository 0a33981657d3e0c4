/**
 * T2 and T11 with a destination that falls silent: every wait has an end, fifteen minutes for parts that are put
 * together and a minute for everything else. The program's time passes twenty times as fast.
 */
import type { FaultRule } from '../support/fault-script.ts';
import {
  copied,
  type Fate,
  isPartOfObject,
  KINDS,
  type Kind,
  LOST_ANSWER,
  PROOF,
  type Spot,
  testTogether,
  type Variant,
} from './destination-scene.ts';
import { startHurried } from './fake-clock.ts';

const TIMES = 20;
const LIMIT_MS = 400_000;

/** It is carried out, and never answered. */
const falls = (rule: FaultRule): FaultRule => rule.after(() => new Promise(() => {}));

const making = ({ script, making: operation, key }: Spot): FaultRule => script.on(operation, key);

type Case = readonly [
  row: string,
  kind: Kind,
  fault: string,
  given: (spot: Spot) => void,
  fate: Fate,
];

const CASES: readonly Case[] = [
  ...KINDS.flatMap((kind): Case[] => [
    [
      'T2',
      kind,
      'stored, then silence',
      (spot) => void falls(making(spot)).times(1),
      copied(LOST_ANSWER),
    ],
    [
      'T2',
      kind,
      'not stored, and silence',
      (spot) => void making(spot).hang().times(1),
      copied(PROOF[kind]),
    ],
  ]),
  [
    'T11',
    'parts',
    'silence after a part',
    ({ script, key }) => void falls(script.on('UploadPart', key).where(isPartOfObject)).times(1),
    copied(PROOF.parts),
  ],
  [
    'T11',
    'parts',
    'silence in the place of an upload id',
    ({ script, key }) => void script.on('CreateMultipartUpload', key).hang().times(1),
    copied(PROOF.parts),
  ],
  [
    'T11',
    'parts',
    'Complete: blanks, then silence, and it was done',
    (spot) => void making(spot).stallAt(30).times(1),
    copied(LOST_ANSWER),
  ],
];

const VARIANTS = CASES.map(
  ([row, kind, fault, given, fate]): Variant => ({ row, kind, fault, given, fate }),
);

testTogether(`time passes ${TIMES} times as fast`, VARIANTS, {
  timeoutMs: LIMIT_MS,
  run: (migration, flags) => startHurried(migration, TIMES, flags).ended,
});
