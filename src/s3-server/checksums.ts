/**
 * The checksums S3 verifies: `x-amz-checksum-*`. Each function takes a whole body and gives the
 * checksum's bytes, big-endian, which S3 writes in base64.
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const CHECKSUMS = {
  crc32: (body: Buffer) => uint32(crc32(body)),
  crc32c: (body: Buffer) => uint32(crc32c(body)),
  crc64nvme,
  sha1: (body: Buffer) => hash('sha1', body, 'buffer'),
  sha256: (body: Buffer) => hash('sha256', body, 'buffer'),
} as const satisfies Record<string, (body: Buffer) => Buffer>;

export type ChecksumName = keyof typeof CHECKSUMS;

export function checksumHeader(name: ChecksumName): string {
  return `x-amz-checksum-${name}`;
}

/** Of an XML document: `ChecksumCRC32`. */
export function checksumElement(name: ChecksumName): string {
  return `Checksum${name.toUpperCase()}`;
}

/** @returns undefined for what is none of S3's algorithms */
export function checksumOfAlgorithm(algorithm: string): ChecksumName | undefined {
  const name = algorithm.toLowerCase();
  return Object.hasOwn(CHECKSUMS, name) ? (name as ChecksumName) : undefined;
}

/**
 * The headers of an object whose parts each had this checksum: a checksum of those, or, for the one that
 * is never such, of the whole content.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 */
export function checksumOfParts(
  name: ChecksumName,
  parts: readonly { readonly checksums: Readonly<Record<string, string>> }[],
  content: Buffer,
): Record<string, string> {
  const header = checksumHeader(name);
  if (name === 'crc64nvme') {
    const whole = CHECKSUMS.crc64nvme(content).toString('base64');
    return { [header]: whole, 'x-amz-checksum-type': 'FULL_OBJECT' };
  }
  const ofParts = parts.map(({ checksums }) => Buffer.from(checksums[header] ?? '', 'base64'));
  const composite = CHECKSUMS[name](Buffer.concat(ofParts)).toString('base64');
  return { [header]: `${composite}-${parts.length}`, 'x-amz-checksum-type': 'COMPOSITE' };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Castagnoli's polynomial, reflected. RFC 3720, appendix B.4. */
const CRC32C_POLYNOMIAL = 0x82f63b78;

const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
  return crc;
});

function crc32c(body: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of body) crc = (crc >>> 8) ^ (CRC32C_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}

/** CRC-64/NVME's polynomial, reflected. NVM Express NVM Command Set specification, 5.2.1.3.4. */
const CRC64_POLYNOMIAL = 0x9a6c9329ac4bc9b5n;

const CRC64_TABLE = Array.from({ length: 256 }, (_, byte) => {
  let crc = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? CRC64_POLYNOMIAL : 0n);
  return crc;
});
const CRC64_HIGH = Uint32Array.from(CRC64_TABLE, (crc) => Number(crc >> 32n));
const CRC64_LOW = Uint32Array.from(CRC64_TABLE, (crc) => Number(crc & 0xffffffffn));

/** In two halves of 32 bits: BigInt arithmetic on each byte would be a hundred times slower. */
function crc64nvme(body: Buffer): Buffer {
  let high = 0xffffffff;
  let low = 0xffffffff;
  for (const byte of body) {
    const index = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (CRC64_LOW[index] ?? 0);
    high = (high >>> 8) ^ (CRC64_HIGH[index] ?? 0);
  }
  return Buffer.concat([uint32(~high >>> 0), uint32(~low >>> 0)]);
}
