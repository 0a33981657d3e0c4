/**
 * The little XML that S3 speaks: writing answers, and picking elements out of the two or three
 * request documents that exist. Not an XML parser: no attributes, namespace prefixes or DTDs.
 */
import { keyToBytes, type ObjectKey } from '../object-key.ts';

const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** XML that is written already, as opposed to text that has yet to be escaped. */
export interface XmlElement {
  readonly xml: string;
}

export type Content = string | number | boolean | XmlElement | readonly XmlElement[];

/** One element; text is escaped, elements are nested. */
export function element(name: string, content: Content): XmlElement {
  return { xml: `<${name}>${render(content)}</${name}>` };
}

/** A whole document as UTF-8, its root in S3's namespace unless it is an error. */
export function xmlDocument(root: string, content: Content, namespace = S3_NAMESPACE): Buffer {
  const attribute = namespace === '' ? '' : ` xmlns="${namespace}"`;
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${attribute}>${render(content)}</${root}>`;
  return Buffer.from(xml, 'utf8');
}

/** A key as text: what is not UTF-8 in it becomes U+FFFD, for XML cannot say it. */
export function keyText(key: ObjectKey): string {
  return keyToBytes(key).toString('utf8');
}

function render(content: Content): string {
  if (typeof content !== 'object') return escapeXml(String(content));
  if ('xml' in content) return content.xml;
  return content.map(({ xml }) => xml).join('');
}

/**
 * Characters that are markup, that a parser would normalise, or that XML 1.0 cannot express at all.
 * The last become U+FFFD, as MinIO (Go's encoding/xml) has them: only `encoding-type=url` keeps them.
 */
// oxlint-disable-next-line no-control-regex
const NOT_LITERAL = /[&<>"'\x00-\x1f\ufffe\uffff]/g;

const REFERENCES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
};

function escapeXml(text: string): string {
  return text.replace(NOT_LITERAL, (char) => REFERENCES[char] ?? '\ufffd');
}

/** The contents of every element of this name, in order of appearance, as XML. */
export function innerXml(xml: string, name: string): string[] {
  const pattern = new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, 'g');
  return Array.from(xml.matchAll(pattern), (match) => match[1] ?? '');
}

/** The text of the first element of this name; undefined when there is none. */
export function innerText(xml: string, name: string): string | undefined {
  const content = innerXml(xml, name)[0];
  return content === undefined ? undefined : unescapeXml(content);
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

function unescapeXml(xml: string): string {
  return xml.replace(
    /&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(\w+));/g,
    (whole, hex, decimal, name) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      const codePoint = hex === undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex, 16);
      return codePoint > 0x10ffff ? whole : String.fromCodePoint(codePoint);
    },
  );
}
