/**
 * A probe's findings in words: the lines at the start of a run, and the problem that stops one.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { Capabilities } from '../../src/s3/probe/capabilities.ts';
import { conditionProblem, describeCapabilities } from '../../src/s3/probe/capability-table.ts';
import { probeDestination } from '../../src/s3/probe/probe.ts';
import { parseProbePrefix } from '../../src/s3/probe/probe-prefix.ts';
import { startServer, storeOn } from './embedded.ts';

let good: Capabilities;
beforeAll(async () => {
  const server = await startServer();
  const store = storeOn(server);
  good = await probeDestination(store, {
    prefix: parseProbePrefix('probe/'),
    random: () => '0',
    now: Date.now,
    signal: new AbortController().signal,
  });
  store.close();
  await server.close();
});

describe('at the start of a run', () => {
  it('three lines say that all is well', () => {
    expect(describeCapabilities(good)).toEqual([
      'conditions: PutObject honoured (412), CompleteMultipartUpload honoured (412), DeleteObject honoured (412); race: exactly one wins',
      "digests: content-md5, crc32, crc32c, crc64nvme, sha1, sha256 verified; ETag is the MD5: yes; of parts: yes; HEAD by part: yes; clock agrees with this host's",
      'not kept: nothing; keys: all kept',
    ]);
  });

  it('they name what is not, and a fourth what could not be removed, all of it safe for a terminal', () => {
    const [conditions, digests, losses, left] = describeCapabilities({
      ...good,
      race: { kind: 'several-win', winners: 2 },
      etagIsMd5: { kind: 'no', answer: '\x1b[31m' },
      clock: { kind: 'measured', aheadMs: -90_000 },
      metadata: {
        ...good.metadata,
        'ordinary-headers': { kind: 'dropped', header: 'expires' },
        tags: { kind: 'dropped', header: 'x-amz-tagging' },
      },
      keys: [
        {
          rule: 'leading-slash',
          handling: { kind: 'alias', sent: '/lead' as ObjectKey, of: 'lead' as ObjectKey },
        },
        { rule: 'not-utf8', handling: { kind: 'refused', answer: '403' } },
      ],
      leftovers: ['probe/0/\x1b' as ObjectKey],
    });
    expect(conditions).toContain('race: 2 WIN');
    expect(digests).toContain(String.raw`ETag is the MD5: no (\x1B[31m)`);
    expect(digests).toContain("clock 90 s behind this host's");
    expect(losses).toBe(
      'not kept: expires (dropped), tags (dropped); keys: keys that begin with a slash ("/lead" as "lead"), keys that are not UTF-8 (refused)',
    );
    expect(left).toBe(String.raw`could not be removed, delete by hand: probe/0/\x1B`);
  });
});

describe('what stops a run', () => {
  it('is nothing when both ways of writing honour the condition', () => {
    expect(conditionProblem(good)).toBeUndefined();
  });

  it.each<[finding: Capabilities['putCondition'], message: RegExp]>([
    [{ kind: 'ignored' }, /does not honour If-None-Match on \w+: IGNORED/],
    [{ kind: 'not-modified' }, /does not honour .*: not known: answered with 304/],
    [{ kind: 'not-implemented' }, /does not honour .*: not implemented \(501\)/],
    [{ kind: 'refused', answer: '404 NoSuchKey' }, /does not honour .*: refused \(404 NoSuchKey\)/],
    [
      { kind: 'unknown', reason: '403 AccessDenied' },
      /could not be found out .*: 403 AccessDenied/,
    ],
  ])('is a condition that is $kind, on either', (finding, message) => {
    expect(conditionProblem({ ...good, putCondition: finding })?.message).toMatch(message);
    const ofParts = conditionProblem({ ...good, completeCondition: finding });
    expect(ofParts?.message).toMatch(message);
    expect(ofParts?.message).toContain('on CompleteMultipartUpload');
    expect(ofParts?.hint).not.toBe('');
  });
});
