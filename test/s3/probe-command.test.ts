/**
 * `s3migrate probe`: the table, the JSON, and what the exit code says.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { type Ended, runProgram, startProgram } from '../support/run-s3migrate.ts';
import { BUCKET, CREDENTIALS, startServer } from './embedded.ts';

interface Probing {
  readonly script: FaultScript;
  readonly keys: () => readonly string[];
  readonly run: (...flags: string[]) => Promise<Ended>;
}

interface ProbingSides {
  readonly source: FaultScript;
  readonly destination: FaultScript;
  readonly keys: () => readonly string[];
  /** Flags of one side. */
  readonly of: (side: 'src' | 'dest') => string[];
}

/** The buckets of a migration. */
async function prepareSides(): Promise<ProbingSides> {
  const [source, destination] = await Promise.all([startServer(), startServer()]);
  for (const server of [source, destination]) onTestFinished(() => server.close());
  const urls = { src: source.url, dest: destination.url };
  return {
    source: faults(source).seeProbe(),
    destination: faults(destination).seeProbe(),
    keys: () => [source, destination].flatMap((server) => server.bucket(BUCKET).keys()),
    of: (side) => {
      const { accessKey, secret } = CREDENTIALS;
      const values = { url: urls[side], bucket: BUCKET, key: accessKey, secret };
      return Object.entries(values).flatMap(([name, value]) => [`--${side}-${name}`, value]);
    },
  };
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

describe('s3migrate probe of the sides of a migration', () => {
  it('prints both tables under headings, and only reads the source', async () => {
    const { source, destination, keys, of } = await prepareSides();
    const { exitCode, stdout, stderr } = await runProgram(['probe', ...of('src'), ...of('dest')]);
    const [ofSource = '', ofDestination = '', ...rest] = stdout.split('\n\n');
    expect(ofSource).toMatch(/^source photos, by reading alone:\n404 for a key .* yes$/m);
    expect(ofSource).not.toContain('If-None-Match');
    expect(ofDestination).toMatch(/^destination photos, by writing:\nIf-None-Match on PutObject /);
    expect(ofDestination).toMatch(/^tags {2,}kept$/m);
    expect(rest).toEqual([]);
    expect(stderr).toMatch(/^(?:s3migrate: probing http:\S+\/photos\n){2}$/);
    expect(exitCode).toBe(0);
    expect(keys()).toEqual([]);
    expect(methodsSeen(source)).toEqual(['GET', 'HEAD']);
    expect(methodsSeen(destination)).toContain('PUT');
  });

  it('probes both at once', async () => {
    const { source, destination, of } = await prepareSides();
    const listing = source.seen('ListObjectsV2', 1);
    const putting = destination.seen('PUT', 1);
    source.on('ListObjectsV2').before(() => putting);
    destination.on('PUT').before(() => listing);
    const { exitCode } = await runProgram(['probe', ...of('src'), ...of('dest')]);
    expect(exitCode).toBe(0);
  });

  it.each([
    ['src', 'source', /^source photos, by reading alone:\n/],
    ['dest', 'destination', /^destination photos, by writing:\n/],
  ] as const)('is content with --%s-url alone', async (flags, side, heading) => {
    const sides = await prepareSides();
    const { exitCode, stdout } = await runProgram(['probe', ...sides.of(flags)]);
    expect(stdout).toMatch(heading);
    expect(stdout).not.toContain('\n\n');
    expect(exitCode).toBe(0);
    const other = side === 'source' ? 'destination' : 'source';
    expect(sides[other].requests).toEqual([]);
  });

  it('exits with 3 where the destination ignores the condition', async () => {
    const { destination, of } = await prepareSides();
    destination.on('PutObject').ignoreConditions();
    const { exitCode, stdout, stderr } = await runProgram([
      'probe',
      ...of('src'),
      ...of('dest'),
      '--json',
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      source: { tellsMissing: { kind: 'yes' } },
      destination: { usable: false, putCondition: { kind: 'ignored' } },
    });
    expect(stdout.match(/\n/g)).toHaveLength(1);
    expect(stderr).toMatch(/does not honour If-None-Match on PutObject/);
    expect(exitCode).toBe(3);
  });

  it('--read-only writes to neither', async () => {
    const { destination, of } = await prepareSides();
    const flags = [...of('src'), ...of('dest'), '--read-only'];
    const { exitCode, stdout } = await runProgram(['probe', ...flags]);
    expect(stdout).toMatch(/^destination photos, by reading alone:\n404 for /m);
    expect(exitCode).toBe(0);
    expect(methodsSeen(destination)).toEqual(['GET', 'HEAD']);
  });

  it("takes the migration's variables", async () => {
    const { of } = await prepareSides();
    const [, url = '', , bucket = '', , key = '', , secret = ''] = of('dest');
    const env = {
      S3MIGRATE_DEST_URL: url,
      S3MIGRATE_DEST_BUCKET: bucket,
      S3MIGRATE_DEST_KEY: key,
      S3MIGRATE_DEST_SECRET: secret,
    };
    expect(await runProgram(['probe'], { env })).toMatchObject({ exitCode: 0 });
  });

  it('removes what it wrote when it is interrupted', async () => {
    const { destination, keys, of } = await prepareSides();
    const program = startProgram(['probe', ...of('src'), ...of('dest')]);
    destination
      .on('DeleteObject')
      .times(1)
      .before(() => program.kill('SIGINT'));
    expect(await program.ended).toMatchObject({ exitCode: 130, stdout: '' });
    expect(keys()).toEqual([]);
  });

  it.each<[what: string, flags: string[], message: RegExp]>([
    ['nothing that is named', [], /missing --url, or --src-url, --dest-url or both\n {2}\S/],
    [
      'one bucket and a side',
      ['--url', 'http://127.0.0.1:1', '--dest-url', 'http://127.0.0.1:1'],
      /--url and --dest-url exclude each other\n {2}\S/,
    ],
    [
      'sides that lack something',
      ['--src-url', 'http://127.0.0.1:1', '--dest-url', 'http://127.0.0.1:1', '--src-key', 'k'],
      /missing --src-bucket, --src-secret, --dest-bucket, --dest-key, --dest-secret\n {2}\S/,
    ],
  ])('refuses %s', async (_, flags, message) => {
    const { exitCode, stdout, stderr } = await runProgram(['probe', ...flags]);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
  });

  it('names the side that cannot be opened, and nothing is written', async () => {
    const { destination, of } = await prepareSides();
    const flags = [...of('src'), ...of('dest'), '--src-secret', 'wrong'];
    const { exitCode, stderr } = await runProgram(['probe', ...flags]);
    expect(stderr).toMatch(/^s3migrate: source .*access denied.*\n {2}Check --src-key/);
    expect(exitCode).toBe(3);
    expect(methodsSeen(destination)).toEqual(['HEAD']);
  });
});

/** Each once, by name. */
function methodsSeen({ requests }: FaultScript): string[] {
  return [...new Set(requests.map(({ method }) => method))].toSorted();
}
