/** Random bytes and texts as the wire takes them: byte strings, one char (0-255) for each byte. */
import fc from 'fast-check';

/** Any bytes, those with a meaning in URLs and in UTF-8 often. */
export function byteString(maxLength: number): fc.Arbitrary<string> {
  const byte = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...unitsOf('ab09-._~/+%?#&=: \\"\'()*!@$;,')) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('\x00', '\t', '\n', '\r', '\x7f', '\x80', '\xa0', '\xff'),
    },
    {
      weight: 2,
      arbitrary: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    },
  );
  return fc.array(byte, { maxLength }).map((bytes) => bytes.join(''));
}

/** Text without line ends and NUL, rich in spaces and in characters of two to four UTF-8 bytes. */
export function headerText(maxLength: number): fc.Arbitrary<string> {
  return textOf([...unitsOf('aZ09 ;,="/+%'), '  ', 'à', 'Š', 'ß', '漢', '😀'], maxLength);
}

export function queryText(maxLength: number): fc.Arbitrary<string> {
  return textOf([...unitsOf("aZ09 /+%&=?#-_.~!'()*:"), '\n', 'à', '漢', '😀'], maxLength);
}

function textOf(units: readonly string[], maxLength: number): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom(...units), { maxLength }).map((chosen) => chosen.join(''));
}

/** The bytes of a text's UTF-8 form, as a byte string. */
export function utf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** The chars of a byte string, or the letters of a text whose letters are one code unit each. */
export function unitsOf(text: string): string[] {
  return text.split('');
}
