/**
 * The object store of this tool keeps its contract over real servers too, but for what those are known to
 * do otherwise.
 */
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { describe } from 'vitest';
import { WireObjectStore } from '../../src/s3/wire-object-store.ts';
import {
  type ContractOptions,
  type ContractSubject,
  objectStoreContract,
} from '../support/object-store-contract.ts';
import { CREDENTIALS, type RealServer, type ServerKind, startRealServer } from './real-server.ts';

const BUCKET = 'contract';

/** MinIO of 2026-02-12, versitygw 1.8.0. */
const DEVIATIONS: Readonly<Record<ServerKind, Omit<ContractOptions, 'open'>>> = {
  minio: {
    refusedKeys: [
      'two slashes',
      'a dot segment',
      'a dot-dot segment',
      'nothing but dots',
      'bytes that are not UTF-8',
    ],
    aliasedKeys: ['a leading slash'],
    ignoresDeleteCondition: true,
    changedMetadata: [
      'an Expires that is no date',
      'metadata in UTF-8',
      'a byte that is not UTF-8',
    ],
  },
  versitygw: {
    // A key that ends with a slash is a folder there, which has no content.
    refusedKeys: ['a trailing slash', 'nothing but dots'],
    aliasedKeys: ['two slashes', 'a leading slash', 'a dot segment', 'a dot-dot segment'],
    changedMetadata: ['a byte that is not UTF-8'],
  },
};

describe.each<ServerKind>(['minio', 'versitygw'])('over %s, the contract', (kind) => {
  objectStoreContract({ open: () => open(kind), ...DEVIATIONS[kind] });
});

async function open(kind: ServerKind): Promise<ContractSubject> {
  const server = await startRealServer(kind);
  await server.client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return {
    store: storeOn(server, {}),
    missingBucket: storeOn(server, { bucket: 'missing' }),
    wrongSecret: storeOn(server, { secret: 'wrong' }),
    close: () => server.stop(),
  };
}

function storeOn(
  { port }: RealServer,
  { bucket = BUCKET, secret = CREDENTIALS.secret }: { bucket?: string; secret?: string },
): WireObjectStore {
  return new WireObjectStore({
    endpoint: { host: '127.0.0.1', port, tls: undefined },
    bucket,
    region: 'us-east-1',
    credentials: { ...CREDENTIALS, secret },
    addressing: 'path',
  });
}
