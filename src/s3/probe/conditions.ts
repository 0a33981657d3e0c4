/**
 * Whether a destination keeps to conditions: `If-None-Match: *` of PutObject and of
 * CompleteMultipartUpload, one winner among racing writers, `If-Match` of DeleteObject.
 *
 * An answer alone is not believed: what the object is afterwards decides.
 */
import { hash } from 'node:crypto';
import type { StoreAnswer } from '../object-store.ts';
import type { ConditionFinding, RaceFinding, Unknown, YesOrNo } from './capabilities.ts';
import {
  answerText,
  etagOf,
  isDone,
  type OpenedSite,
  type ProbeSite,
  type ProbeUpload,
  unknown,
} from './probe-site.ts';

const FIRST_BODY = Buffer.from('written first');
/** Of another length, so that HEAD tells which of the two an object has. */
const SECOND_BODY = Buffer.from('written second, over the first');
const RACERS = 4;
const WRONG_ETAG = '00000000000000000000000000000000';

export async function probePutCondition(
  site: ProbeSite,
  { key, first }: OpenedSite,
): Promise<ConditionFinding> {
  if (!isDone(first)) return refusedThoughItHolds(first);
  const second = await site.put(key, { body: SECOND_BODY });
  return afterSecondWrite(second, await site.head(key));
}

/** The condition holds, and yet: the header itself is what is refused. */
function refusedThoughItHolds(answer: StoreAnswer): ConditionFinding {
  if (answer.status === 501) return { kind: 'not-implemented' };
  return { kind: 'refused', answer: answerText(answer) };
}

function afterSecondWrite(second: StoreAnswer, head: StoreAnswer): ConditionFinding {
  if (isDone(head) && head.headers.get('content-length') === String(SECOND_BODY.length)) {
    return { kind: 'ignored' };
  }
  const { status } = second;
  if (isDone(second)) return { kind: 'ignored' };
  if (status === 412 || status === 409) return { kind: 'honoured', status };
  if (status === 304) return { kind: 'not-modified' };
  if (status === 501) return { kind: 'not-implemented' };
  if (status >= 500 || status === 403) return unknown(answerText(second));
  return { kind: 'refused', answer: answerText(second) };
}

export async function probeRace(site: ProbeSite): Promise<RaceFinding> {
  if (!site.takesCondition) return unknown('the store does not take the condition');
  const key = site.key('race');
  const racers = Array.from({ length: RACERS }, (_, number) => Buffer.from(`racer ${number}`));
  const answers = await Promise.all(racers.map((body) => site.put(key, { body })));
  const winners = answers.filter(isDone).length;
  const lost = answers.find((answer) => !isDone(answer) && ![409, 412].includes(answer.status));
  if (winners > 1) return { kind: 'several-win', winners };
  if (lost !== undefined) return unknown(answerText(lost));
  return winners === 1 ? { kind: 'one-wins' } : unknown('none of the racing writes won');
}

export interface AssembledFindings {
  readonly completeCondition: ConditionFinding;
  readonly multipartEtag: YesOrNo;
  readonly partNumberHead: YesOrNo;
}

/** Makes an object of one part, and then tries to put another in its place. */
export async function probeAssembled(site: ProbeSite): Promise<AssembledFindings | Unknown> {
  const key = site.key('assembled');
  const created = await Promise.all([site.createUpload(key), site.createUpload(key)]);
  const [first, second] = created;
  if (!('uploadId' in first)) return unknown(answerText(first));
  if (!('uploadId' in second)) return unknown(answerText(second));
  const parts = await Promise.all([
    site.uploadPart(first, { partNumber: 1, body: FIRST_BODY }),
    site.uploadPart(second, { partNumber: 1, body: SECOND_BODY }),
  ]);
  const [etag, secondEtag] = parts.map(etagOf);
  if (etag === undefined || secondEtag === undefined) {
    return unknown(`UploadPart: ${answerText(parts.find((part) => !isDone(part)) ?? parts[0])}`);
  }
  const completed = await site.complete(first, { etag, createOnly: true });
  const refused = !isDone(completed);
  // Whether the condition was the reason, though it holds.
  if (refused && !isDone(await site.complete(first, { etag, createOnly: false }))) {
    return unknown(`CompleteMultipartUpload: ${answerText(completed)}`);
  }
  const [head, ofPart, ofNoPart] = await Promise.all([
    site.head(key),
    site.head(key, [['partNumber', '1']]),
    site.head(key, [['partNumber', '2']]),
  ]);
  return {
    completeCondition: refused
      ? refusedThoughItHolds(completed)
      : await overAssembled(site, { upload: second, etag: secondEtag }),
    multipartEtag: multipartEtag(head),
    partNumberHead: partNumberHead(ofPart, ofNoPart),
  };
}

async function overAssembled(
  site: ProbeSite,
  { upload, etag }: { upload: ProbeUpload; etag: string },
): Promise<ConditionFinding> {
  const again = await site.complete(upload, { etag, createOnly: true });
  return afterSecondWrite(again, await site.head(upload.key));
}

function multipartEtag(head: StoreAnswer): YesOrNo {
  if (!isDone(head)) return unknown(`HEAD: ${answerText(head)}`);
  const expected = `${hash('md5', hash('md5', FIRST_BODY, 'buffer'))}-1`;
  const etag = etagOf(head) ?? '';
  return etag === expected ? { kind: 'yes' } : { kind: 'no', answer: etag };
}

/** A store that does not know the parameter answers with the whole object, also for a part that is not there. */
function partNumberHead(ofPart: StoreAnswer, ofNoPart: StoreAnswer): YesOrNo {
  if (ofPart.status === 403 || ofPart.status >= 500) return unknown(answerText(ofPart));
  if (!isDone(ofPart)) return { kind: 'no', answer: answerText(ofPart) };
  if (isDone(ofNoPart)) return { kind: 'no', answer: 'partNumber is ignored' };
  const bytes = ofPart.headers.get('content-length') ?? 'no length';
  return bytes === String(FIRST_BODY.length)
    ? { kind: 'yes' }
    : { kind: 'no', answer: `${bytes} for a part of ${FIRST_BODY.length} bytes` };
}

export async function probeDeleteCondition(site: ProbeSite): Promise<ConditionFinding> {
  const key = site.key('delete');
  const written = await site.put(key, { body: FIRST_BODY });
  const etag = etagOf(written);
  if (!isDone(written) || etag === undefined) return unknown(answerText(written));
  const wrong = await site.deleteIfMatch(key, WRONG_ETAG);
  const { status } = await site.head(key);
  if (status === 404) return { kind: 'ignored' };
  if (wrong.status === 501) return { kind: 'not-implemented' };
  if (wrong.status === 403 || wrong.status >= 500) return unknown(answerText(wrong));
  if (wrong.status !== 412 && wrong.status !== 409) {
    return { kind: 'refused', answer: answerText(wrong) };
  }
  const right = await site.deleteIfMatch(key, etag);
  if (!isDone(right)) return { kind: 'refused', answer: answerText(right) };
  return { kind: 'honoured', status: wrong.status };
}
