import { it } from 'vitest';
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3';
import { RealBucket, startBoth } from './real-bucket.ts';
import { execSync } from 'node:child_process';
it('x', async () => {
  const { minio, versitygw } = await startBoth();
  for (const s of [minio, versitygw]) {
    const b = await RealBucket.create(s, 'bbb');
    await s.client.send(new CreateMultipartUploadCommand({ Bucket: 'bbb', Key: 'a/b' }));
    console.log(s.kind, await b.openUploads(), execSync(`find ${b.folder} ${b.folder}/../.minio.sys/multipart`).toString());
    await b.putInParts('x/y', Buffer.alloc(12e6), { partBytes: 5 * 1024 ** 2, headers: { Metadata: { a: 'b' }, CacheControl: 'no-cache', Expires: new Date(1e12) } });
    await b.put('a b+c%\u0001/\n', 'xx');
    console.log(await b.keys(), await b.read('x/y'), execSync(`find ${b.folder}`).toString());
    await s.stop();
  }
});
