/**
 * A bucket that cannot be used: exit code 3 within ten seconds, the side and the likely cause named, before
 * any transfer. The corrected command then works in the same log folder.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { S3ServerOptions } from '../../src/s3-server/server.ts';
import { type Flags, type Migration, prepareMigration } from './migration.ts';

const CERTIFICATE = join(import.meta.dirname, '../s3-server/localhost.cert.pem');
const TLS = {
  cert: await readFile(CERTIFICATE),
  key: await readFile(join(import.meta.dirname, '../s3-server/localhost.key.pem')),
};
const TEN_SECONDS = 10_000;

interface Refusal {
  /** What is wrong about the command: a flag of this side, without its prefix; undefined leaves it out. */
  readonly wrong: readonly [flag: string, value: string | undefined];
  readonly message: RegExp;
  readonly hint: RegExp;
}

const SIDES = [
  { side: 'source', prefix: 'src' },
  { side: 'destination', prefix: 'dest' },
] as const;

async function expectRefusedThenCorrected(
  migration: Migration,
  { side, prefix }: (typeof SIDES)[number],
  { wrong: [flag, value], message, hint }: Refusal,
  correct: Flags = {},
): Promise<void> {
  const { exitCode, stdout, stderr } = await migration.run({
    ...correct,
    [`${prefix}-${flag}`]: value,
  });
  const [first = '', second = '', ...others] = stderr.split('\n');
  expect(first).toMatch(new RegExp(`^s3migrate: ${side} https?://127\\.0\\.0\\.1:\\d+/[\\w-]+: `));
  expect(first).toMatch(message);
  expect(second).toMatch(/^ {2}\S/);
  expect(second).toMatch(hint);
  expect(others).toEqual(['']);
  expect(stdout).toBe('');
  expect(exitCode).toBe(3);
  expect(migration.source.script.count('GetObject')).toBe(0);
  expect(migration.writesSeen()).toBe(0);

  const corrected = await migration.run(correct);
  expect(corrected.exitCode).toBe(0);
  expect(migration.destination.contents()).toEqual(migration.source.contents());
}

async function givenMigration(options: Parameters<typeof prepareMigration>[0] = {}) {
  const migration = await prepareMigration(options);
  await migration.givenPhotos(2);
  return migration;
}

/** A port of this host on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.each(SIDES)('the $side', (side) => {
  const { prefix } = side;

  it('with a wrong access key', { timeout: TEN_SECONDS }, async () => {
    await expectRefusedThenCorrected(await givenMigration(), side, {
      wrong: ['key', 'nobody'],
      message: /access denied/,
      hint: new RegExp(`--${prefix}-key and --${prefix}-secret`),
    });
  });

  it('with a wrong secret, which is not shown', { timeout: TEN_SECONDS }, async () => {
    const migration = await givenMigration();
    await expectRefusedThenCorrected(migration, side, {
      wrong: ['secret', 'wr0ng-s3cret'],
      message: /access denied(?!.*wr0ng-s3cret)/,
      hint: new RegExp(`--${prefix}-key and --${prefix}-secret(?!.*wr0ng-s3cret)`),
    });
  });

  it('without such a bucket', { timeout: TEN_SECONDS }, async () => {
    await expectRefusedThenCorrected(await givenMigration(), side, {
      wrong: ['bucket', 'no-such-bucket'],
      message: /there is no such bucket/,
      hint: new RegExp(`--${prefix}-bucket`),
    });
  });

  it('where nobody listens', { timeout: TEN_SECONDS }, async () => {
    await expectRefusedThenCorrected(await givenMigration(), side, {
      wrong: ['url', `http://127.0.0.1:${await freePort()}`],
      message: /connection refused/,
      hint: new RegExp(`--${prefix}-url`),
    });
  });

  it('where something else than S3 answers', { timeout: TEN_SECONDS }, async () => {
    const other = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end('220 mail.example ESMTP\r\n'));
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    await expectRefusedThenCorrected(await givenMigration(), side, {
      wrong: ['url', `http://127.0.0.1:${port}`],
      message: /./,
      hint: new RegExp(`--${prefix}-url`),
    });
  });

  it('whose certificate is of an unknown authority', { timeout: TEN_SECONDS }, async () => {
    const tls: Partial<S3ServerOptions> = { tls: TLS };
    const migration = await givenMigration({ [side.side]: tls });
    await expectRefusedThenCorrected(
      migration,
      side,
      {
        wrong: ['ca-file', undefined],
        message: /its certificate is self-signed|signed by an unknown authority/,
        hint: new RegExp(`--${prefix}-ca-file`),
      },
      { [`${prefix}-ca-file`]: CERTIFICATE },
    );
  });

  it('that is asked in the wrong tongue, http or https', { timeout: TEN_SECONDS }, async () => {
    const migration = await givenMigration();
    const { port } = migration[side.side].server;
    await expectRefusedThenCorrected(migration, side, {
      wrong: ['url', `https://127.0.0.1:${port}`],
      message: /does not speak TLS: http instead of https\?/,
      hint: new RegExp(`--${prefix}-url`),
    });
  });
});
