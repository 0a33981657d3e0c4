/**
 * One embedded S3 server in a process of its own, driven over IPC by bench/kill-and-resume.mjs.
 *
 * Contents are made from the key, so that an object under a wrong key, cut, or mixed of two is seen.
 */
import { createHash } from 'node:crypto';
import { startS3Server } from '../dist/s3-server/server.js';

const server = await startS3Server({
  accessKey: 'user1',
  secretKey: 'password123',
  buckets: ['photos'],
});
const bucket = server.bucket('photos');

/** 4 KiB that belong to this key and this writer only. */
function contentOf(key, writer) {
  const block = createHash('sha512').update(`${writer}\0${key}`).digest();
  return Buffer.concat(Array.from({ length: 4096 / block.length }, () => block));
}

const requests = {
  fill({ keys, writer }) {
    for (const key of keys) bucket.put(key, { body: contentOf(key, writer) });
    return bucket.keys().length;
  },
  /** As a client that writes while the migration runs. */
  overwrite({ keys, writer }) {
    for (const key of keys) bucket.put(key, { body: contentOf(key, writer) });
    return keys.length;
  },
  /** How many objects there are, and which do not have the content of the given writer. */
  compare({ writer }) {
    const keys = bucket.keys();
    const other = keys.filter((key) => !bucket.get(key).body.equals(contentOf(key, writer)));
    return { objects: keys.length, other };
  },
  count() {
    return bucket.keys().length;
  },
};

process.on('message', ({ id, name, argument }) => {
  process.send({ id, result: requests[name](argument ?? {}) });
});
process.on('disconnect', () => process.exit());
process.send({ id: 0, result: server.url });
