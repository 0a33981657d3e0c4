/**
 * The headers that belong to an object and travel with it, byte for byte.
 */
import type { ResponseHeaders } from '../wire/response-head.ts';
import type { Header } from '../wire/signature.ts';

const COPIED = new Set([
  'content-type',
  'cache-control',
  'content-disposition',
  'content-language',
  'expires',
]);
const USER_METADATA = 'x-amz-meta-';

/** The headers to send with a PUT so that the new object has what the answer told of the old one. */
export function metadataOf(headers: ResponseHeaders): Header[] {
  const metadata: Header[] = [];
  for (const [name, value] of headers) {
    if (COPIED.has(name) || name.startsWith(USER_METADATA)) {
      metadata.push([name, value]);
    } else if (name === 'content-encoding') {
      const encoding = withoutAwsChunked(value);
      if (encoding !== '') metadata.push([name, encoding]);
    }
  }
  return metadata;
}

/**
 * `aws-chunked` is the encoding of an upload, not of an object; some stores (versitygw 1.8) keep and
 * show it.
 */
function withoutAwsChunked(encoding: string): string {
  if (!encoding.includes('aws-chunked')) return encoding;
  return encoding
    .split(',')
    .map((token) => token.trim())
    .filter((token) => token !== 'aws-chunked')
    .join(',');
}
