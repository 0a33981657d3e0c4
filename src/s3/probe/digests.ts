/**
 * Which digests a destination checks before it keeps a body. One is verified when a right one is taken and
 * a wrong one is refused: a store that refuses both does not know it, one that takes both ignores it.
 */
import type { Header } from '../../wire/signature.ts';
import type { StoreAnswer } from '../object-store.ts';
import type { DigestFinding, DigestName } from './capabilities.ts';
import { answerText, isDone, orUnknown, type ProbeSite, unknown } from './probe-site.ts';

export const DIGEST_BODY = Buffer.from('s3migrate probe');

/** In base64: of {@link DIGEST_BODY}, and of `other bytes`. */
export const DIGESTS: Readonly<Record<DigestName, { right: string; wrong: string }>> = {
  'content-md5': { right: 'Yyx4yPY0x+J45tbrHARnTg==', wrong: 'bv80UBBUl8ws4i6iZ/Vkug==' },
  crc32: { right: 'zG4cNA==', wrong: 'I1kLdA==' },
  crc32c: { right: 'JT7MpA==', wrong: 'To/cuQ==' },
  crc64nvme: { right: 'v3+40CjgILo=', wrong: '/NZaiMPg8eU=' },
  sha1: { right: 'WOSbi7et9r8uItPttrwgF9+l/Hs=', wrong: 'zMVMwVJJ3z7JC9SJl+XcraEej78=' },
  sha256: {
    right: 'nu8SVwAH+LeB9Aj2tp7sufOizv4pkP0Vbw1GY2+53j8=',
    wrong: 'o+rV7trV34IxjFFoXbwcFHo20f+FhPyC3msI0L9jp5U=',
  },
};

export const DIGEST_NAMES = Object.keys(DIGESTS) as readonly DigestName[];

type Findings = Record<DigestName, DigestFinding>;

export function probePutDigests(site: ProbeSite): Promise<Findings> {
  return ofEach(async (name) => {
    const send = (which: 'right' | 'wrong'): Promise<StoreAnswer> =>
      site.put(site.key(`${name}-${which}`), { body: DIGEST_BODY, digest: header(name, which) });
    return finding(await Promise.all([send('right'), send('wrong')]));
  });
}

export function probePartDigests(site: ProbeSite): Promise<Findings> {
  return ofEach(async (name) => {
    // Amazon S3 takes a checksum of a part only in an upload that was created for its algorithm.
    const algorithm: Header[] =
      name === 'content-md5' ? [] : [['x-amz-checksum-algorithm', name.toUpperCase()]];
    const upload = await site.createUpload(site.key(`${name}-parts`), algorithm);
    if (!('uploadId' in upload)) return { kind: 'refused', answer: answerText(upload) };
    const send = (partNumber: number, which: 'right' | 'wrong'): Promise<StoreAnswer> =>
      site.uploadPart(upload, { partNumber, body: DIGEST_BODY, digest: header(name, which) });
    return finding(await Promise.all([send(1, 'right'), send(2, 'wrong')]));
  });
}

async function ofEach(probe: (name: DigestName) => Promise<DigestFinding>): Promise<Findings> {
  const findings = DIGEST_NAMES.map(
    async (name) => [name, await orUnknown(() => probe(name))] as const,
  );
  return Object.fromEntries(await Promise.all(findings)) as Findings;
}

function header(name: DigestName, which: 'right' | 'wrong'): Header {
  return [name === 'content-md5' ? name : `x-amz-checksum-${name}`, DIGESTS[name][which]];
}

function finding([right, wrong]: readonly [StoreAnswer, StoreAnswer]): DigestFinding {
  if (right.status === 403 || (right.status >= 500 && right.status !== 501)) {
    return unknown(answerText(right));
  }
  if (!isDone(right)) return { kind: 'refused', answer: answerText(right) };
  if (isDone(wrong)) return { kind: 'ignored' };
  return wrong.status === 400 ? { kind: 'verified' } : unknown(answerText(wrong));
}
