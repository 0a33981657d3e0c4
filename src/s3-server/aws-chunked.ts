/**
 * Bodies in `aws-chunked` form: chunks with sizes in hex, each perhaps with a signature, then
 * trailers. It lies inside HTTP's own framing.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
import { S3Error } from './s3-error.ts';

export interface DecodedChunks {
  readonly body: Buffer;
  /** By lower-case name. */
  readonly trailers: ReadonlyMap<string, string>;
}

/** Called for each chunk in order, the empty last one too; throws when the signature is wrong. */
export type ChunkCheck = (chunk: Buffer, signature: string | undefined) => void;

const CRLF = '\r\n';

/** @throws S3Error IncompleteBody when the last chunk is missing or a size is no number */
export function decodeAwsChunked(encoded: Buffer, check: ChunkCheck): DecodedChunks {
  const chunks: Buffer[] = [];
  let position = 0;

  function readLine(): string {
    const end = encoded.indexOf(CRLF, position, 'latin1');
    if (end < 0) throw new S3Error('IncompleteBody');
    const line = encoded.toString('latin1', position, end);
    position = end + CRLF.length;
    return line;
  }

  for (;;) {
    const header = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(readLine());
    if (header === null) throw new S3Error('IncompleteBody');
    const size = Number.parseInt(header[1] ?? '', 16);
    const chunk = encoded.subarray(position, position + size);
    if (chunk.length < size) throw new S3Error('IncompleteBody');
    check(chunk, header[2]);
    if (size === 0) break;
    chunks.push(chunk);
    position += size;
    if (readLine() !== '') throw new S3Error('IncompleteBody');
  }
  return { body: Buffer.concat(chunks), trailers: readTrailers(readLine) };
}

function readTrailers(readLine: () => string): Map<string, string> {
  const trailers = new Map<string, string>();
  for (let line = readLine(); line !== ''; line = readLine()) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new S3Error('MalformedTrailerError');
    trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return trailers;
}
