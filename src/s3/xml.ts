/**
 * The little XML that object calls need: a few elements of short answers, and the body of
 * CompleteMultipartUpload. No document type, no entity but the five of XML itself.
 */

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

/** The text of the first element of this name that holds nothing but text; undefined without one. */
export function elementText(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text?.replace(
    /&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));/g,
    (whole, decimal, hex, named) => {
      if (named !== undefined) return ENTITIES[named as string] as string;
      const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

/**
 * What is inside each element of this name, none of which holds another of it, as XML. One that does not end is left
 * out with all after it. In one pass: a hostile store may send two megabytes of opening tags.
 */
export function innerXml(xml: string, name: string): string[] {
  const [opening, closing] = [`<${name}>`, `</${name}>`];
  const found: string[] = [];
  for (let start = xml.indexOf(opening); start >= 0; ) {
    const from = start + opening.length;
    const to = xml.indexOf(closing, from);
    if (to < 0) break;
    found.push(xml.slice(from, to));
    start = xml.indexOf(opening, to + closing.length);
  }
  return found;
}

/** Whether the document is an S3 error, also one that came with status 200. */
export function isErrorDocument(xml: string): boolean {
  return /^\s*(?:<\?xml[^>]*\?>\s*)?<Error[\s>]/.test(xml);
}

export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
