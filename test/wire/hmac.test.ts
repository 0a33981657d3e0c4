import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HmacSha256 } from '../../src/wire/hmac.ts';

it('is what node:crypto makes of it, for keys and texts of any length, one after the other', () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(bytes, fc.array(bytes, { maxLength: 5 }), (key, texts) => {
      const hmac = new HmacSha256(key);
      for (const text of texts) {
        expect(hmac.hex(text.toString('latin1'))).toBe(
          createHmac('sha256', key).update(text).digest('hex'),
        );
      }
    }),
  );
});
