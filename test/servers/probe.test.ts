/**
 * The probe's findings about real servers, as they are: MinIO of 2026-02-12, versitygw 1.8.0 over a folder.
 */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { ListObjectVersionsCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import type {
  Capabilities,
  KeyHandling,
  KeyRuleName,
  MetadataFinding,
  MetadataName,
} from '../../src/s3/probe/capabilities.ts';
import { conditionProblem } from '../../src/s3/probe/capability-table.ts';
import { aliasProblem } from '../../src/s3/probe/key-rules.ts';
import { probeDestination } from '../../src/s3/probe/probe.ts';
import { DEFAULT_PROBE_PREFIX } from '../../src/s3/probe/probe-prefix.ts';
import { WireObjectStore } from '../../src/s3/wire-object-store.ts';
import { RealBucket } from './real-bucket.ts';
import {
  CREDENTIALS,
  type RealServer,
  SERVER_KINDS,
  type ServerKind,
  startRealServer,
} from './real-server.ts';

const refused = (answer: string): KeyHandling => ({ kind: 'refused', answer });
const alias = (sent: string, of: string): KeyHandling => ({
  kind: 'alias',
  sent: sent as ObjectKey,
  of: of as ObjectKey,
});

interface Findings {
  readonly deleteCondition: Capabilities['deleteCondition'];
  /** Those that are not kept. */
  readonly metadata: Partial<Record<MetadataName, MetadataFinding>>;
  readonly keys: Partial<Record<KeyRuleName, KeyHandling>>;
}

const FINDINGS: Readonly<Record<ServerKind, Findings>> = {
  minio: {
    deleteCondition: { kind: 'ignored' },
    metadata: {
      'expires-not-a-date': { kind: 'dropped', header: 'expires' },
      'metadata-utf8': {
        kind: 'changed',
        header: 'x-amz-meta-probe',
        to: '=?UTF-8?q?Z=C3=BCrich?=',
      },
      'metadata-latin1': {
        kind: 'changed',
        header: 'x-amz-meta-probe',
        to: '=?UTF-8?q?Z=FCrich?=',
      },
      'website-redirect': { kind: 'dropped', header: 'x-amz-website-redirect-location' },
    },
    keys: {
      'leading-slash': alias('/lead', 'lead'),
      'double-slash': refused('400 XMinioInvalidObjectName'),
      'dot-segment': refused('400 XMinioInvalidResourceName'),
      'dot-dot-segment': refused('400 XMinioInvalidResourceName'),
      'not-utf8': refused('403 SignatureDoesNotMatch'),
      'long-part': refused('400 XMinioInvalidObjectName'),
    },
  },
  versitygw: {
    deleteCondition: { kind: 'honoured', status: 412 },
    metadata: {
      'metadata-latin1': {
        kind: 'changed',
        header: 'x-amz-meta-probe',
        to: 'Z\xef\xbf\xbdrich',
      },
    },
    keys: {
      'leading-slash': alias('/lead', 'lead'),
      'double-slash': alias('twice//x', 'twice/x'),
      'dot-segment': alias('dot/./y', 'dot/y'),
      'dot-dot-segment': alias('dots/../z', 'z'),
      'trailing-slash-with-content': refused('400 DirectoryObjectContainsData'),
      'beside-folder': refused('412 PreconditionFailed'),
      'above-key': refused('409 ExistingObjectIsDirectory'),
      'long-part': refused('400 KeyTooLongError'),
    },
  },
};

describe.each(SERVER_KINDS)('a probe of %s', (kind) => {
  let server: RealServer;
  let bucket: RealBucket;
  let found: Capabilities;
  beforeAll(async () => {
    server = await startRealServer(kind);
    bucket = await RealBucket.create(server, 'photos');
    found = await probe(bucket);
  });
  afterAll(() => server.stop());

  it('finds it fit to be a destination', () => {
    expect(conditionProblem(found)).toBeUndefined();
    expect(found).toMatchObject({
      putCondition: { kind: 'honoured', status: 412 },
      completeCondition: { kind: 'honoured', status: 412 },
      race: { kind: 'one-wins' },
      etagIsMd5: { kind: 'yes' },
      multipartEtag: { kind: 'yes' },
      partNumberHead: { kind: 'yes' },
      clock: { kind: 'measured', aheadMs: 0 },
    });
  });

  it('finds whether a conditional delete can be relied upon', () => {
    expect(found.deleteCondition).toEqual(FINDINGS[kind].deleteCondition);
  });

  it('finds every digest verified, of objects and of parts', () => {
    for (const digests of [found.putDigests, found.partDigests]) {
      expect(new Set(Object.values(digests).map((digest) => digest.kind))).toEqual(
        new Set(['verified']),
      );
    }
  });

  it('finds what is lost of what comes with an object', () => {
    const lost = Object.entries(found.metadata).filter(([, finding]) => finding.kind !== 'kept');
    expect(Object.fromEntries(lost)).toEqual(FINDINGS[kind].metadata);
  });

  it('finds the keys that are refused, or kept under another name', () => {
    const unusual = found.keys.filter(({ handling }) => handling.kind !== 'kept');
    expect(Object.fromEntries(unusual.map(({ rule, handling }) => [rule, handling]))).toEqual(
      FINDINGS[kind].keys,
    );
    expect(aliasProblem(keyFromText('/photos/a.jpg'), found)).toMatch(/"\/lead" as "lead"/);
    expect(aliasProblem(keyFromText('photos/a.jpg'), found)).toBeUndefined();
  });

  it('leaves nothing behind, nor an unfinished upload', async () => {
    expect(found.leftovers).toEqual([]);
    expect(await bucket.keys()).toEqual([]);
    expect(await bucket.openUploads()).toEqual([]);
    // versitygw keeps unfinished uploads in a folder of its own.
    expect((await readdir(bucket.folder)).filter((name) => name !== '.sgwtmp')).toEqual([]);
  });

  // versitygw has versions only in a mode of its own.
  if (kind === 'minio') {
    it('leaves no old version in a bucket that keeps them', async () => {
      const versioned = await RealBucket.create(server, 'versioned');
      const target = { Bucket: versioned.name };
      const VersioningConfiguration = { Status: 'Enabled' } as const;
      await server.client.send(
        new PutBucketVersioningCommand({ ...target, VersioningConfiguration }),
      );
      expect((await probe(versioned)).leftovers).toEqual([]);
      const { Versions, DeleteMarkers } = await server.client.send(
        new ListObjectVersionsCommand(target),
      );
      expect([Versions ?? [], DeleteMarkers ?? []]).toEqual([[], []]);
    });
  }
});

async function probe({ server, name }: RealBucket): Promise<Capabilities> {
  const store = new WireObjectStore({
    endpoint: { host: '127.0.0.1', port: server.port, tls: undefined },
    bucket: name,
    region: 'us-east-1',
    credentials: CREDENTIALS,
    addressing: 'path',
  });
  try {
    return await probeDestination(store, {
      prefix: keyFromText(DEFAULT_PROBE_PREFIX),
      random: () => randomBytes(16).toString('hex'),
      now: Date.now,
      signal: new AbortController().signal,
    });
  } finally {
    store.close();
  }
}
