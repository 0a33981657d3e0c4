/**
 * MD5 as S3 uses it: in hex for ETags, in base64 for Content-MD5.
 */
import { hash } from 'node:crypto';

export function md5Base64(bytes: Buffer): string {
  return hash('md5', bytes, 'base64');
}

export function hexToBase64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

export function base64ToHex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

/** The ETag of a multipart object: the MD5 of its parts' MD5s, and how many there are. */
export function multipartEtag(partMd5s: readonly string[]): string {
  const joined = Buffer.concat(partMd5s.map((base64) => Buffer.from(base64, 'base64')));
  return `${hash('md5', joined, 'hex')}-${partMd5s.length}`;
}
