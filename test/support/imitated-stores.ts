/**
 * Stores that do not do as Amazon S3 does, imitated on the embedded server: each function makes it behave
 * like one of them, for what a probe asks too.
 *
 * Each says whom it is like; docs/compatibility.md says what of that was measured. The first rule of a script that
 * matches counts, so what a test wants of single requests goes before the imitation.
 */
import { hash } from 'node:crypto';
import type { StoredObject, Upload } from '../../src/s3-server/bucket.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import type { FaultScript, SeenRequest } from './fault-script.ts';

/** A server and the script that is on it. */
export interface Scripted {
  readonly server: S3Server;
  readonly script: FaultScript;
}

const WRITES = ['PutObject', 'CompleteMultipartUpload'] as const;

/** Like Google's S3 interface, Garage, and MinIO before February 2023. */
export function ignoresConditions({ script }: Scripted): void {
  script.seeProbe();
  for (const write of WRITES) script.on(write).ignoreConditions();
}

/**
 * `*` is the ETag of no object, so the condition always holds; one that does not hold is answered with 304.
 * Like MinIO from February 2023 to April 2024.
 */
export function comparesStarAsEtag({ server, script }: Scripted): void {
  const namesTheEtag = (seen: SeenRequest): boolean => {
    const there = objectOf(server, seen);
    return there !== undefined && seen.headers.get('if-none-match') === `"${there.etag}"`;
  };
  script.seeProbe().on('PutObject').where(namesTheEtag).status(304);
  for (const write of WRITES) script.on(write).ignoreConditions();
}

/** Like MinIO in April 2024, as its commits have it: 304 to a write. */
export function answersWith304({ server, script }: Scripted): void {
  script
    .seeProbe()
    .on('PutObject')
    .where((seen) => isConditional(seen) && objectOf(server, seen) !== undefined)
    .status(304);
}

/** Like Backblaze B2 and Alibaba OSS. */
export function refusesConditions({ script }: Scripted): void {
  script.seeProbe();
  for (const write of WRITES) {
    script.on(write).where(isConditional).status(501, { code: 'NotImplemented' });
  }
}

/** Also where the condition holds. Like MinIO RELEASE.2025-09-06. */
export function missesAbsentKeys({ server, script }: Scripted): void {
  script.seeProbe();
  for (const write of WRITES) {
    script
      .on(write)
      .where((seen) => isConditional(seen) && objectOf(server, seen) === undefined)
      .status(404, { code: 'NoSuchKey' });
  }
}

/** Like CoreWeave for the loser of a race; here for whoever finds the key taken. */
export function conflictsForTheLoser({ server, script }: Scripted): void {
  script.seeProbe();
  for (const write of WRITES) {
    script
      .on(write)
      .where((seen) => isConditional(seen) && objectOf(server, seen) !== undefined)
      .status(409, { code: 'ConditionalRequestConflict' });
  }
}

/** Like Ceph RGW before September 2025. */
export function ignoresConditionOnComplete({ script }: Scripted): void {
  script.seeProbe().on('CompleteMultipartUpload').ignoreConditions();
}

/** How many of them a probe has race for one key. */
const RACERS = 4;

/**
 * The condition is looked at when a request arrives, and not when the object is published: of racing
 * writers each wins. Like SeaweedFS before 4.18; versitygw has a small window of the kind.
 */
export function looksBeforeTheBody({ server, script }: Scripted): void {
  script
    .seeProbe()
    .on('PutObject')
    .where((seen) => isConditional(seen) && objectOf(server, seen) === undefined)
    .before(async ({ request: { key } }) => {
      if (key.endsWith('/race')) {
        await script.until(() => script.count('PutObject', key) >= RACERS);
      }
    })
    .ignoreConditions();
}

/** Objects of parts have ETags that tell nothing, and CRC32s are not known. Like Cloudflare R2. */
export function makesUpMultipartEtags({ server, script }: Scripted): void {
  script
    .seeProbe()
    .on('CreateMultipartUpload')
    .where(({ headers }) => headers.has('x-amz-checksum-algorithm'))
    .status(501, { code: 'NotImplemented' });
  script
    .on('CompleteMultipartUpload')
    .alter((answer) => ({ ...answer, body: Buffer.from(madeUp(answer.body.toString())) }))
    .after(({ request }) => {
      const bucket = server.bucket(request.bucket ?? '');
      const made = bucket.get(request.key);
      // Such an object is put back without its parts: one that has none was there before.
      if (made === undefined || made.parts.length === 0) return;
      const { body, headers, tags, etag } = made;
      bucket.put(request.key, { body, headers, tags, etag: madeUp(etag) });
    });
}

function madeUp(text: string): string {
  return text.replaceAll(/[0-9a-f]{32}(?=-\d)/g, (etag) => hash('md5', etag));
}

/** Like Cloudflare R2. */
export function wantsEqualParts({ server, script }: Scripted): void {
  script
    .seeProbe()
    .on('CompleteMultipartUpload')
    .where((seen) => hasUnevenParts(uploadOf(server, seen)))
    .status(400, {
      code: 'InvalidPart',
      message: 'All non-trailing parts must have the same length.',
    });
}

function hasUnevenParts({ parts }: Upload): boolean {
  const lengths = [...parts].toSorted(([a], [b]) => a - b).map(([, { body }]) => body.length);
  return new Set(lengths.slice(0, -1)).size > 1;
}

/** Two KB of it, which S3 has too. WEKA documents it, without the answer; this is that of MinIO. */
export function limitsMetadata({ script }: Scripted): void {
  script
    .seeProbe()
    .on('PUT')
    .where(({ headers }) => userMetadataBytes(headers) > 2048)
    .status(400, {
      code: 'MetadataTooLarge',
      message: 'Your metadata headers exceed the maximum allowed metadata size.',
    });
}

function userMetadataBytes(headers: ReadonlyMap<string, string>): number {
  return [...headers]
    .filter(([name]) => name.startsWith('x-amz-meta-'))
    .reduce((bytes, [name, value]) => bytes + name.length + value.length, 0);
}

/** A body that ends too early is kept as far as it came, unless a digest forbids it. Like versitygw. */
export function keepsTruncatedBodies({ script }: Scripted): void {
  script.seeProbe().keepTruncated();
}

/** `/x`, `a//x`, `a/./x` and `a/b/../x` are `x`, `a/x`, `a/x` and `a/x`. Like versitygw. */
export function aliasesKeys({ script }: Scripted): void {
  script.seeProbe().nameKeys((key) => {
    const parts: string[] = [];
    for (const part of key.split('/')) {
      if (part === '..') parts.pop();
      else if (part !== '.' && part !== '') parts.push(part);
    }
    return key.endsWith('/') ? `${parts.join('/')}/` : parts.join('/');
  });
}

/** DELETE for one version of an object deletes any. Like MinIO. */
export function ignoresIfMatchOnDelete({ script }: Scripted): void {
  script.seeProbe().on('DeleteObject').ignoreHeaders('if-match');
}

/** Like MinIO for what is no date; here for dates too. */
export function dropsExpires({ script }: Scripted): void {
  script.seeProbe();
  for (const write of ['PutObject', 'CreateMultipartUpload'] as const) {
    script.on(write).ignoreHeaders('expires');
  }
}

function isConditional({ headers }: SeenRequest): boolean {
  return headers.has('if-none-match');
}

function objectOf(server: S3Server, { bucket, key }: SeenRequest): StoredObject | undefined {
  return server.bucket(bucket ?? '').get(key);
}

function uploadOf(server: S3Server, { bucket, key, query }: SeenRequest): Upload {
  return server.bucket(bucket ?? '').upload(query.get('uploadId') ?? '', key);
}
