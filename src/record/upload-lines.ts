/**
 * The lines of migrate.uploads: what was done with multipart uploads, one event a line.
 *
 * Each line is a JSON object in ASCII, so that it is one physical line, misleads no terminal, and cannot be
 * cut and still be whole. docs/formats.md is the specification.
 */
import type { AcknowledgedPart, UploadPlan } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import { fields, keyFromJson, keyToJson, text, time, whole } from './run-file.ts';

/** A program refuses a file of another format. */
export const UPLOADS_HEADER = '{"format":1}\n';

export type UploadEvent =
  /** @see at - ms since the epoch */
  | { readonly kind: 'intended'; readonly key: ObjectKey; readonly at: number }
  | { readonly kind: 'created'; readonly key: ObjectKey; readonly uploadId: string }
  | { readonly kind: 'begun'; readonly plan: UploadPlan }
  | { readonly kind: 'part'; readonly part: AcknowledgedPart }
  | { readonly kind: 'completed'; readonly etag: string }
  | { readonly kind: 'abandoned' }
  | { readonly kind: 'over' };

/** @returns the line with its line feed */
export function formatUploadLine(upload: number, event: UploadEvent): string {
  const json = JSON.stringify({ upload, event: event.kind, ...toJson(event) });
  return `${json.replace(/[\x7f-\uffff]/g, escapeUnit)}\n`;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function toJson(event: UploadEvent): Record<string, unknown> {
  switch (event.kind) {
    case 'intended':
      return { key: keyToJson(event.key), at: new Date(event.at).toISOString() };
    case 'created':
      return { key: keyToJson(event.key), id: event.uploadId };
    case 'begun': {
      const { version, headersSha256, partLengths, proof } = event.plan;
      return { ...version, headersSha256, parts: runsOf(partLengths), proof };
    }
    case 'part': {
      const { partNumber, etag, digest } = event.part;
      return { part: partNumber, etag, [digest.algorithm]: digest.base64 };
    }
    case 'completed':
      return { etag: event.etag };
    case 'abandoned':
    case 'over':
      return {};
  }
}

/** Nearly all objects are of equal parts but for the last: `[[9999,16777216],[1,1000]]`. */
function runsOf(lengths: readonly number[]): [count: number, length: number][] {
  const runs: [number, number][] = [];
  for (const length of lengths) {
    const run = runs.at(-1);
    if (run?.[1] === length) run[0]++;
    else runs.push([1, length]);
  }
  return runs;
}

/** @returns undefined for what {@link formatUploadLine} cannot have written: a torn or foreign line */
export function parseUploadLine(line: string): { upload: number; event: UploadEvent } | undefined {
  try {
    const json = fields(JSON.parse(line));
    const event = eventFromJson(json);
    return event === undefined ? undefined : { upload: whole(json['upload']), event };
  } catch {
    return undefined;
  }
}

/** @throws Error when the fields have another shape */
function eventFromJson(json: Record<string, unknown>): UploadEvent | undefined {
  switch (json['event']) {
    case 'intended':
      return { kind: 'intended', key: keyFromJson(json['key']), at: time(json['at']) };
    case 'created':
      return { kind: 'created', key: keyFromJson(json['key']), uploadId: text(json['id']) };
    case 'begun':
      return { kind: 'begun', plan: planFromJson(json) };
    case 'part':
      return { kind: 'part', part: partFromJson(json) };
    case 'completed':
      return { kind: 'completed', etag: text(json['etag']) };
    case 'abandoned':
      return { kind: 'abandoned' };
    case 'over':
      return { kind: 'over' };
    default:
      return undefined;
  }
}

/** S3's own most; more in a line would only be an error that fills the memory. */
const MAX_PARTS = 10_000;

function planFromJson(json: Record<string, unknown>): UploadPlan {
  const { parts, proof } = json;
  if (!Array.isArray(parts)) throw new Error('the parts are missing');
  const partLengths: number[] = [];
  for (const [count, length] of parts as [unknown, unknown][]) {
    if (partLengths.length + whole(count) > MAX_PARTS) throw new Error('too many parts');
    for (let left = whole(count); left > 0; left--) partLengths.push(whole(length));
  }
  if (proof !== 'crc32' && proof !== 'md5' && proof !== 'etag' && proof !== 'none') {
    throw new Error('its proof is none this program knows');
  }
  return {
    version: {
      bytes: whole(json['bytes']),
      etag: text(json['etag']),
      lastModified: text(json['lastModified']),
    },
    headersSha256: text(json['headersSha256']),
    partLengths,
    proof,
  };
}

function partFromJson(json: Record<string, unknown>): AcknowledgedPart {
  const algorithm = json['md5'] === undefined ? 'crc32' : 'md5';
  return {
    partNumber: whole(json['part']),
    etag: text(json['etag']),
    digest: { algorithm, base64: text(json[algorithm]) },
  };
}
