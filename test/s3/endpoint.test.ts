/**
 * Endpoint URLs as operators type them, and what an AWS host name tells.
 */
import { describe, expect, it } from 'vitest';
import { defaultAddressing, parseEndpoint, regionOfHost } from '../../src/s3/endpoint.ts';

const tls = { ca: undefined, verify: true };
const parse = (url: string) => parseEndpoint(url, tls);

describe('a URL', () => {
  it.each([
    ['http://store.example', 'store.example', 80, undefined],
    ['https://store.example', 'store.example', 443, tls],
    ['https://store.example/', 'store.example', 443, tls],
    ['http://store.example:9000', 'store.example', 9000, undefined],
    ['https://store.example:80', 'store.example', 80, tls],
    ['HTTP://Store.Example:9000', 'store.example', 9000, undefined],
    ['http://127.0.0.1:9000', '127.0.0.1', 9000, undefined],
    ['https://[::1]:9000', '::1', 9000, tls],
  ])('%s is a host and a port', (url, host, port, expectedTls) => {
    expect(parse(url)).toEqual({ host, port, tls: expectedTls });
  });

  it.each([
    ['store.example', /no scheme/],
    ['store.example:9000', /no scheme/],
    ['//store.example', /no scheme/],
    ['', /no scheme/],
    ['http:store.example', /no scheme/],
    [' http://store.example', /no scheme/],
    ['s3://bucket', /scheme is s3/],
    ['ftp://store.example', /scheme is ftp/],
    ['http://', /no host/],
    ['http:///bucket', /no host/],
    ['https://?bucket', /no host/],
    ['http://store.example:port', /not a URL/],
    ['http://store.example:99999', /not a URL/],
    ['http://[::1', /not a URL/],
    ['http://store example', /not a URL/],
    ['http://key:secret@store.example', /credentials/],
    ['http://key@store.example', /credentials/],
    ['http://:@store.example', /credentials/],
    ['http://key:secret@store.example/bucket', /credentials/],
    ['http://store.example/bucket', /path/],
    ['http://store.example/a@b', /path/],
    ['http://store.example//', /path/],
    ['http://store.example/..', /path/],
    ['http://store.example?', /query/],
    ['http://store.example/?bucket=b', /query/],
    ['http://store.example#bucket', /query/],
    ['http://store.example\\bucket', /path/],
  ])('%s is refused, with the reason', (url, reason) => {
    expect(parse(url)).toMatch(reason);
  });

  it('with a secret in it is refused without repeating the secret', () => {
    expect(parse('http://key:hush@store.example')).not.toMatch(/hush/);
  });
});

describe('a host name of AWS', () => {
  it.each([
    ['s3.eu-west-1.amazonaws.com', 'eu-west-1'],
    ['s3-eu-west-1.amazonaws.com', 'eu-west-1'],
    ['s3.dualstack.ap-southeast-2.amazonaws.com', 'ap-southeast-2'],
    ['s3-fips.us-gov-west-1.amazonaws.com', 'us-gov-west-1'],
    ['s3-fips.dualstack.us-east-1.amazonaws.com', 'us-east-1'],
    ['s3.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
    ['photos.s3.eu-west-1.amazonaws.com', 'eu-west-1'],
  ])('%s tells its region and wants the bucket in the name', (host, region) => {
    expect(regionOfHost(host)).toBe(region);
    expect(defaultAddressing(host)).toBe('virtual');
  });

  it('for all regions tells none', () => {
    expect(regionOfHost('s3.amazonaws.com')).toBeUndefined();
    expect(defaultAddressing('s3.amazonaws.com')).toBe('virtual');
  });
});

it.each([
  'store.example',
  '127.0.0.1',
  's3.eu-west-1.amazonaws.com.store.example',
  'ec2.eu-west-1.amazonaws.com',
  'nots3.eu-west-1.amazonaws.com',
])('%s tells no region and is addressed by path', (host) => {
  expect(regionOfHost(host)).toBeUndefined();
  expect(defaultAddressing(host)).toBe('path');
});
