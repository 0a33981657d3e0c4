/**
 * Digests of whole contents, of contents in pieces, and of objects made of parts.
 */
import { hash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  base64ToHex,
  compositeCrc32,
  digestOf,
  hexToBase64,
  multipartEtag,
  RunningDigest,
} from '../../src/transfer/digest.ts';

/** The check value of CRC-32, and RFC 1321's first test of MD5. */
it.each([
  ['crc32', '123456789', 'cbf43926'],
  ['crc32', '', '00000000'],
  ['md5', '', 'd41d8cd98f00b204e9800998ecf8427e'],
] as const)('%s of %j is %s', (algorithm, text, hex) => {
  expect(digestOf(algorithm, Buffer.from(text))).toEqual({ algorithm, base64: hexToBase64(hex) });
});

it.each(['md5', 'crc32'] as const)(
  '%s is the same in whatever pieces the content comes',
  (algorithm) => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (pieces) => {
        const running = new RunningDigest(algorithm);
        for (const piece of pieces) running.update(Buffer.from(piece));
        expect(running.take()).toEqual(digestOf(algorithm, Buffer.concat(pieces)));
      }),
    );
  },
);

it('makes an ETag of the parts’ ETags', () => {
  const md5s = ['one', 'two'].map((text) => hash('md5', text));
  const whole = hash('md5', Buffer.from(md5s.join(''), 'hex'));
  expect(multipartEtag(md5s)).toBe(`${whole}-2`);
});

it('makes a CRC32 of the parts’ CRC32s', () => {
  const crcs = ['one', 'two'].map((text) => digestOf('crc32', Buffer.from(text)).base64);
  const joined = Buffer.from(crcs.map(base64ToHex).join(''), 'hex');
  expect(compositeCrc32(crcs)).toBe(`${digestOf('crc32', joined).base64}-2`);
});
