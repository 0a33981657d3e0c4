/**
 * What a probe finds out about a destination that does all as S3 does.
 */
import type {
  Capabilities,
  DigestFinding,
  DigestName,
  MetadataFinding,
  MetadataName,
} from '../../src/s3/probe/capabilities.ts';
import { type CopyPolicy, DEFAULT_POLICY } from '../../src/transfer/copy-policy.ts';

export const VERIFIED = ofEach<DigestName, DigestFinding>(
  ['content-md5', 'crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'],
  { kind: 'verified' },
);

const METADATA = ofEach<MetadataName, MetadataFinding>(
  [
    'ordinary-headers',
    'content-encoding',
    'content-encodings',
    'expires-not-a-date',
    'metadata-utf8',
    'metadata-latin1',
    'metadata-rfc2047',
    'website-redirect',
    'tags',
  ],
  { kind: 'kept' },
);

const SOUND: Capabilities = {
  probedAt: 0,
  putCondition: { kind: 'honoured', status: 412 },
  completeCondition: { kind: 'honoured', status: 412 },
  race: { kind: 'one-wins' },
  deleteCondition: { kind: 'honoured', status: 412 },
  etagIsMd5: { kind: 'yes' },
  multipartEtag: { kind: 'yes' },
  putDigests: VERIFIED,
  partDigests: VERIFIED,
  partNumberHead: { kind: 'yes' },
  metadata: METADATA,
  keys: [],
  clock: { kind: 'measured', aheadMs: 0 },
  leftovers: [],
};

/** The default policy for a destination that was found to be sound, but for these findings. */
export function probedPolicy(
  findings: Partial<Capabilities> = {},
  changes: Partial<CopyPolicy> = {},
): CopyPolicy {
  return { ...DEFAULT_POLICY, ...changes, capabilities: { ...SOUND, ...findings } };
}

function ofEach<K extends string, V>(names: readonly K[], value: V): Record<K, V> {
  return Object.fromEntries(names.map((name) => [name, value])) as Record<K, V>;
}
