/**
 * `s3migrate probe`: the table, the JSON, and what the exit code says.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { type Ended, runProgram } from '../support/run-s3migrate.ts';
import { BUCKET, CREDENTIALS, startServer } from './embedded.ts';

interface Probing {
  readonly script: FaultScript;
  readonly keys: () => readonly string[];
  readonly run: (...flags: string[]) => Promise<Ended>;
}

async function prepareProbe(): Promise<Probing> {
  const server = await startServer();
  onTestFinished(() => server.close());
  const bucket = ['--url', server.url, '--bucket', BUCKET];
  const credentials = ['--key', CREDENTIALS.accessKey, '--secret', CREDENTIALS.secret];
  return {
    script: faults(server).seeProbe(),
    keys: () => server.bucket(BUCKET).keys(),
    run: (...flags) => runProgram(['probe', ...bucket, ...credentials, ...flags]),
  };
}

describe('s3migrate probe', () => {
  it('prints a line for each finding, and exits with 0 where the condition is honoured', async () => {
    const { run, keys } = await prepareProbe();
    const { exitCode, stdout, stderr } = await run();
    expect(stdout).toMatch(/^If-None-Match on PutObject {2,}honoured \(412\)$/m);
    expect(stdout).toMatch(/^If-None-Match on CompleteMultipartUpload {2,}honoured \(412\)$/m);
    expect(stdout).toMatch(/^CRC32C on PutObject, UploadPart {2,}verified, verified$/m);
    expect(stdout).toMatch(/^keys that begin with a slash {2,}kept$/m);
    expect(stdout).toMatch(/^clock {2,}agrees with this host's$/m);
    expect(stderr).toMatch(/^s3migrate: probing http:\S+\/photos\n$/);
    expect(exitCode).toBe(0);
    expect(keys()).toEqual([]);
  });

  it('exits with 3 where the condition is ignored, and says what that means', async () => {
    const { run, script } = await prepareProbe();
    script.on('PutObject').ignoreConditions();
    const { exitCode, stdout, stderr } = await run();
    expect(stdout).toMatch(/^If-None-Match on PutObject {2,}IGNORED/m);
    expect(stderr).toMatch(
      /does not honour If-None-Match on PutObject: IGNORED.*\n {2}\S.*overwritten/,
    );
    expect(exitCode).toBe(3);
  });

  it('exits with 3 where it may not write, with what to do about it', async () => {
    const { run, script } = await prepareProbe();
    script.on('PUT').status(403, { code: 'AccessDenied' });
    const { exitCode, stdout, stderr } = await run();
    expect(stdout).toMatch(/^tags {2,}unknown \(nothing can be written .*403 AccessDenied\)$/m);
    expect(stderr).toMatch(
      /could not be found out .*AccessDenied\n {2}Let this user .*--probe-prefix/,
    );
    expect(exitCode).toBe(3);
  });

  it('names what it could not remove', async () => {
    const { run, script } = await prepareProbe();
    script
      .on('DeleteObject')
      .where(({ key }) => key.endsWith('/race'))
      .status(403);
    const { stdout } = await run();
    expect(stdout).toMatch(
      /^could not be removed, delete by hand: \.s3migrate-probe\/\w{32}\/race\n$/m,
    );
  });

  it('--json prints one line for machines', async () => {
    const { run } = await prepareProbe();
    const { exitCode, stdout } = await run('--json');
    expect(JSON.parse(stdout)).toMatchObject({
      usable: true,
      putCondition: { kind: 'honoured', status: 412 },
      leftovers: [],
    });
    expect(stdout.match(/\n/g)).toHaveLength(1);
    expect(exitCode).toBe(0);
  });

  it('--probe-prefix says where it writes', async () => {
    const { run, script } = await prepareProbe();
    await run('--probe-prefix', 'scratch/s3migrate-');
    const written = script.requests.filter(({ method }) => method === 'PUT');
    expect(written.length).toBeGreaterThan(10);
    for (const { key } of written) expect(key).toMatch(/^\/?scratch\/s3migrate-[0-9a-f]{32}\//);
  });

  it('--read-only writes nothing', async () => {
    const { run, script } = await prepareProbe();
    const { exitCode, stdout } = await run('--read-only');
    expect(stdout).toMatch(/^404 for a key that is not there {2,}yes$/m);
    expect(exitCode).toBe(0);
    expect(new Set(script.requests.map(({ method }) => method))).toEqual(new Set(['HEAD', 'GET']));
  });

  it.each<[what: string, flags: string[], code: number, message: RegExp]>([
    [
      'a prefix that could become another',
      ['--probe-prefix', 'a//b'],
      2,
      /--probe-prefix "a\/\/b"/,
    ],
    ['a wrong secret', ['--secret', 'wrong'], 3, /access denied/],
    ['a stray word', ['stray'], 2, /too many arguments/],
  ])('refuses %s', async (_, flags, code, message) => {
    const { run } = await prepareProbe();
    const { exitCode, stdout, stderr } = await run(...flags);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(exitCode).toBe(code);
  });
});
