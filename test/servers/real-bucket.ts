/**
 * A bucket of a real server through the AWS SDK: what fills it and looks into it shares nothing with the
 * program under test. Keys are text here, as the SDK has them.
 */
import { createHash } from 'node:crypto';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  type PutObjectCommandInput,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import type { RealServer } from './real-server.ts';

const REQUESTS_AT_ONCE = 16;

/** Headers of an object, by the SDK's names. */
export type ObjectHeaders = Pick<
  PutObjectCommandInput,
  | 'CacheControl'
  | 'ContentDisposition'
  | 'ContentEncoding'
  | 'ContentLanguage'
  | 'ContentType'
  | 'Expires'
  | 'Metadata'
>;

/** All that a reader is told of an object; its content by length and digest. */
export interface ReadObject {
  readonly bytes: number;
  readonly sha256: string;
  /** Those that are not there are undefined. */
  readonly headers: Readonly<Record<string, unknown>>;
}

export class RealBucket {
  readonly server: RealServer;
  readonly name: string;

  private constructor(server: RealServer, name: string) {
    this.server = server;
    this.name = name;
  }

  static async create(
    server: RealServer,
    name: string,
    { objectLock = false }: { objectLock?: boolean } = {},
  ): Promise<RealBucket> {
    await server.client.send(
      new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }),
    );
    return new RealBucket(server, name);
  }

  /** Where it is on the disk; see {@link RealServer.bucketFolder}. */
  get folder(): string {
    return this.server.bucketFolder(this.name);
  }

  async put(key: string, body: string | Buffer, headers: ObjectHeaders = {}): Promise<void> {
    const target = { Bucket: this.name, Key: key };
    // The SDK takes an empty text for a stream.
    const Body = Buffer.from(body);
    await this.server.client.send(new PutObjectCommand({ ...target, Body, ...headers }));
  }

  async putAll(bodies: ReadonlyMap<string, Buffer>): Promise<void> {
    await pLimit(REQUESTS_AT_ONCE).map(bodies, ([key, body]) => this.put(key, body));
  }

  /** @param partBytes of each part or of each by itself; 5 MiB at least, but for the last */
  async putInParts(
    key: string,
    body: Buffer,
    { partBytes, headers = {} }: { partBytes: number | readonly number[]; headers?: ObjectHeaders },
  ): Promise<void> {
    const { client } = this.server;
    const target = { Bucket: this.name, Key: key };
    const created = await client.send(new CreateMultipartUploadCommand({ ...target, ...headers }));
    const upload = { ...target, UploadId: created.UploadId };
    const Parts: CompletedPart[] = [];
    let at = 0;
    while (at < body.length) {
      const length = typeof partBytes === 'number' ? partBytes : partBytes[Parts.length];
      const part = {
        PartNumber: Parts.length + 1,
        Body: body.subarray(at, length === undefined ? undefined : at + length),
      };
      at += part.Body.length;
      const { ETag } = await client.send(new UploadPartCommand({ ...upload, ...part }));
      Parts.push({ PartNumber: part.PartNumber, ETag });
    }
    await client.send(
      new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }),
    );
  }

  /** Without quotes. */
  async etag(key: string): Promise<string> {
    const target = { Bucket: this.name, Key: key };
    const { ETag = '' } = await this.server.client.send(new HeadObjectCommand(target));
    return ETag.replaceAll('"', '');
  }

  async delete(key: string): Promise<void> {
    await this.server.client.send(new DeleteObjectCommand({ Bucket: this.name, Key: key }));
  }

  /** In the server's order. */
  async keys(): Promise<string[]> {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const answer: ListObjectsV2CommandOutput = await this.server.client.send(
        new ListObjectsV2Command({
          Bucket: this.name,
          EncodingType: 'url',
          ContinuationToken: token,
        }),
      );
      for (const { Key = '' } of answer.Contents ?? []) {
        keys.push(
          answer.EncodingType === 'url' ? decodeURIComponent(Key.replaceAll('+', ' ')) : Key,
        );
      }
      token = answer.NextContinuationToken;
    } while (token !== undefined);
    return keys;
  }

  async read(key: string): Promise<ReadObject> {
    const target = { Bucket: this.name, Key: key };
    const { Body, ...head } = await this.server.client.send(new GetObjectCommand(target));
    const content = (await Body?.transformToByteArray()) ?? Buffer.alloc(0);
    return {
      bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
      headers: {
        CacheControl: head.CacheControl,
        ContentDisposition: head.ContentDisposition,
        ContentEncoding: head.ContentEncoding,
        ContentLanguage: head.ContentLanguage,
        ContentType: head.ContentType,
        Expires: head.ExpiresString,
        Metadata: head.Metadata,
      },
    };
  }

  /** Each of these objects, and by default each object listed, read to its end. */
  async readAll(keys?: readonly string[]): Promise<Map<string, ReadObject>> {
    const wanted = keys ?? (await this.keys());
    const objects = await pLimit(REQUESTS_AT_ONCE).map(
      wanted,
      async (key) => [key, await this.read(key)] as const,
    );
    return new Map(objects);
  }

  /**
   * Keys of the multipart uploads that are neither completed nor aborted.
   *
   * @param prefix - without it MinIO tells of none
   */
  async openUploads(prefix?: string): Promise<string[]> {
    const { client } = this.server;
    const asked = { Bucket: this.name, Prefix: prefix };
    const answer = await client.send(new ListMultipartUploadsCommand(asked));
    return (answer.Uploads ?? []).map(({ Key = '' }) => Key);
  }
}
