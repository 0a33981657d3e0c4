/**
 * The two S3 servers of the demo, each with one bucket and keys of its own.
 */
import { randomBytes } from 'node:crypto';
import type { Bucket } from '../s3-server/bucket.ts';
import { type OperationName, operationOf } from '../s3-server/routing.ts';
import { type S3Server, startS3Server } from '../s3-server/server.ts';

const BUCKET = 'photos';

export interface Side {
  readonly name: 'source' | 'destination';
  /** Whoever starts the side closes it. */
  readonly server: S3Server;
  readonly bucketName: string;
  readonly bucket: Bucket;
  readonly accessKey: string;
  readonly secret: string;
}

/** Listens on a free port when the promise resolves. Its bucket is empty. */
export async function startSide(name: Side['name']): Promise<Side> {
  const accessKey = `${name}-user`;
  // Others on this host can reach the port too.
  const secret = randomBytes(20).toString('hex');
  const server = await startS3Server({ accessKey, secretKey: secret, buckets: [BUCKET] });
  return {
    name,
    server,
    bucketName: BUCKET,
    bucket: server.bucket(BUCKET),
    accessKey,
    secret,
  };
}

/** What makes an object of what was sent. */
const STORING: ReadonlySet<OperationName | undefined> = new Set([
  'PutObject',
  'CompleteMultipartUpload',
]);

/**
 * Watches the objects that come over the wire.
 *
 * @param tell told how many have been stored since, each time before the client hears of it
 */
export function onStored({ server }: Side, tell: (stored: number) => void): void {
  let stored = 0;
  server.interceptWith(async ({ request }, proceed) => {
    const answer = await proceed();
    if (answer.status === 200 && STORING.has(operationOf(request))) {
      stored++;
      tell(stored);
    }
    return answer;
  });
}
