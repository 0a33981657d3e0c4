/**
 * The AWS SDK pointed at an embedded server: an independent client with Amazon's own defaults.
 */
import { S3Client } from '@aws-sdk/client-s3';
import type { S3Server } from '../../src/s3-server/server.ts';
import { CREDENTIALS } from './raw-request.ts';

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

/** One attempt a request: what the server says is what the test sees. Whoever makes it destroys it. */
export function sdkClient(server: S3Server, region = 'us-east-1'): S3Client {
  return new S3Client({
    endpoint: server.url,
    region,
    forcePathStyle: true,
    credentials: CREDENTIALS,
    maxAttempts: 1,
  });
}
