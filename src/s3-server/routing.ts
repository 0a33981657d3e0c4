/**
 * Which operation a request is: by method, by whether there is a key, and by the sub-resources in
 * the query. What this server does not have is told apart from what it has, never mistaken for it.
 */
import { createBucket, getBucketLocation, headBucket, listObjects } from './bucket-operations.ts';
import { deleteObject, putObject, readObject } from './object-operations.ts';
import type { Operation } from './operation.ts';
import type { S3Request } from './request.ts';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './tagging.ts';
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from './upload-operations.ts';

/** By the names of the S3 API. */
export const OPERATIONS = {
  AbortMultipartUpload: abortMultipartUpload,
  CompleteMultipartUpload: completeMultipartUpload,
  CreateBucket: createBucket,
  CreateMultipartUpload: createMultipartUpload,
  DeleteObject: deleteObject,
  DeleteObjectTagging: deleteObjectTagging,
  GetBucketLocation: getBucketLocation,
  GetObject: readObject,
  GetObjectTagging: getObjectTagging,
  HeadBucket: headBucket,
  HeadObject: readObject,
  ListMultipartUploads: listMultipartUploads,
  ListObjectsV2: listObjects,
  ListParts: listParts,
  PutObject: putObject,
  PutObjectTagging: putObjectTagging,
  UploadPart: uploadPart,
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

/** Query parameters that make a request another operation. `x-id` and the like are none. */
const SUB_RESOURCES = [
  'acl',
  'attributes',
  'cors',
  'delete',
  'encryption',
  'legal-hold',
  'lifecycle',
  'list-type',
  'location',
  'logging',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
  'website',
];

const ROUTES: Readonly<Record<string, OperationName>> = {
  'GET bucket list-type': 'ListObjectsV2',
  'GET bucket location': 'GetBucketLocation',
  'GET bucket uploads': 'ListMultipartUploads',
  'HEAD bucket': 'HeadBucket',
  'PUT bucket': 'CreateBucket',
  'DELETE object': 'DeleteObject',
  'DELETE object tagging': 'DeleteObjectTagging',
  'DELETE object uploadId': 'AbortMultipartUpload',
  'GET object': 'GetObject',
  'GET object tagging': 'GetObjectTagging',
  'GET object uploadId': 'ListParts',
  'HEAD object': 'HeadObject',
  'POST object uploadId': 'CompleteMultipartUpload',
  'POST object uploads': 'CreateMultipartUpload',
  'PUT object': 'PutObject',
  'PUT object tagging': 'PutObjectTagging',
  'PUT object uploadId': 'UploadPart',
};

/** Copies and customer keys change what a PUT means: without them the wrong bytes would be stored. */
const UNSUPPORTED_HEADERS = [
  'x-amz-copy-source',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-write-offset-bytes',
];

/** @returns undefined for what this server does not have */
export function operationOf(request: S3Request): OperationName | undefined {
  if (request.bucket === undefined) return undefined;
  if (UNSUPPORTED_HEADERS.some((name) => request.headers.has(name))) return undefined;
  const subject = request.key === '' ? 'bucket' : 'object';
  const subResources =
    request.query.size === 0 ? [] : SUB_RESOURCES.filter((name) => request.query.has(name));
  return ROUTES[[request.method, subject, ...subResources].join(' ')];
}
