/**
 * Endpoint URLs as an operator gives them, and what follows from an AWS host name.
 */
import type { Endpoint, TlsOptions } from '../wire/connection.ts';
import type { Addressing } from './wire-object-store.ts';

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;

/**
 * @param url scheme, host and perhaps a port: nothing else
 * @returns the endpoint, or what is wrong with the URL as a clause: `it has no scheme`
 */
export function parseEndpoint(url: string, tls: TlsOptions): Endpoint | string {
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined)
    return 'it has no scheme: http://HOST:PORT or https://HOST:PORT is needed';
  if (scheme !== 'http' && scheme !== 'https') return `its scheme is ${scheme}, not http or https`;
  const [authority, path] = splitAuthority(url.slice(scheme.length + '://'.length));
  // URL would take the path of `http:///bucket` for its host.
  if (authority === '') return 'it has no host';
  // Only the host and port of what the operator typed go through URL; keys never do.
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return 'it is not a URL';
  }
  if (authority.includes('@')) {
    return 'it holds credentials: they belong in the key and secret flags';
  }
  if (path !== '' && path !== '/') {
    return 'it has a path or a query: give the bucket with its own flag';
  }
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = parsed.port === '' ? (scheme === 'https' ? 443 : 80) : Number(parsed.port);
  return { host, port, tls: scheme === 'https' ? tls : undefined };
}

function splitAuthority(text: string): [authority: string, rest: string] {
  const end = text.search(/[/?#\\]/);
  return end < 0 ? [text, ''] : [text.slice(0, end), text.slice(end)];
}

/** https://docs.aws.amazon.com/general/latest/gr/s3.html */
const AWS_HOST =
  /^(?:.+\.)?s3(?:-fips)?(?:\.dualstack)?(?:[.-]([a-z]{2}(?:-[a-z]+)+-[0-9]))?\.amazonaws\.com(?:\.cn)?$/;

/** The region in an AWS host name; undefined for the host of all regions and for other stores. */
export function regionOfHost(host: string): string | undefined {
  return AWS_HOST.exec(host)?.[1];
}

/** AWS wants the bucket in the host name; other stores are reached by path, which needs no DNS for each bucket. */
export function defaultAddressing(host: string): Addressing {
  return AWS_HOST.test(host) ? 'virtual' : 'path';
}
