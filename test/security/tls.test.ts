/**
 * TLS: whoever sits between shows a certificate that is not the store's. Each is refused in one clear line, unless the
 * operator said for this very side that it may be; nothing below TLS 1.2 is spoken.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { argumentsOf, type Flags, prepareMigration } from '../cli/migration.ts';
import { runProgram } from '../support/run-s3migrate.ts';
import { listen } from '../wire/scripted-server.ts';

const LOCALHOST = new URL('../s3-server/localhost.cert.pem', import.meta.url);
const LOCAL = {
  key: readFileSync(new URL('../s3-server/localhost.key.pem', import.meta.url), 'utf8'),
  cert: readFileSync(LOCALHOST, 'utf8'),
};

interface Certificate {
  readonly key: string;
  readonly cert: string;
  readonly caFile: string;
}

/** @param subjectAltName - whom it is for; @param days - negative for one that has expired */
async function certificateFor(subjectAltName: string, days: number): Promise<Certificate> {
  const folder = await mkdtemp(join(tmpdir(), 's3migrate-tls-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [key, request, cert, extensions] = ['key', 'csr', 'cert', 'ext'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { stdio: 'ignore' });
  execFileSync('sh', [
    '-c',
    'printf "subjectAltName=%s\\n" "$1" > "$2"',
    'sh',
    subjectAltName,
    extensions,
  ]);
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    key,
    '-out',
    request,
    '-subj',
    '/CN=test',
  );
  openssl(
    'x509',
    '-req',
    '-in',
    request,
    '-key',
    key,
    '-out',
    cert,
    '-days',
    String(days),
    '-extfile',
    extensions,
  );
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8'), caFile: cert };
}

const BOTH_COMMANDS = ['migrate', 'list'] as const;

/** Runs against a source that speaks TLS so; it must not be asked for anything. */
async function run(
  command: (typeof BOTH_COMMANDS)[number],
  options: TlsOptions,
  flags: Flags = {},
) {
  let asked = 0;
  const server = createTlsServer(options, (socket) => {
    socket.on('error', () => {}).on('data', () => asked++);
  });
  server.on('tlsClientError', () => {});
  const url = `https://127.0.0.1:${await listen(server)}`;
  onTestFinished(() => void server.close());
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  const ended =
    command === 'migrate'
      ? await migration.run({ 'src-url': url, ...renamed(flags, 'src-') })
      : await runProgram([
          'list',
          '--url',
          url,
          '--bucket',
          'photos',
          '--key',
          'user',
          '--secret',
          'a-s3cret',
          ...argumentsOf(flags),
          migration.path('made'),
        ]);
  return { ...ended, asked };
}

function renamed(flags: Flags, prefix: string): Flags {
  return Object.fromEntries(Object.entries(flags).map(([name, value]) => [prefix + name, value]));
}

describe.each(BOTH_COMMANDS)('%s', (command) => {
  test.each<[string, () => Promise<[TlsOptions, Flags]>, RegExp]>([
    ['self-signed', async () => [LOCAL, {}], /its certificate is self-signed/],
    [
      'of an authority that is not the one given',
      async () => {
        const { caFile } = await certificateFor('IP:127.0.0.1', 1);
        return [LOCAL, { 'ca-file': caFile }];
      },
      /self-signed|unknown authority/,
    ],
    [
      'expired',
      async () => {
        const { key, cert, caFile } = await certificateFor('IP:127.0.0.1', -1);
        return [{ key, cert }, { 'ca-file': caFile }];
      },
      /its certificate has expired/,
    ],
    [
      'for another host',
      async () => {
        const { key, cert, caFile } = await certificateFor('DNS:other.test', 1);
        return [{ key, cert }, { 'ca-file': caFile }];
      },
      /its certificate is for another host name/,
    ],
  ])('a certificate that is %s is refused, and nothing is sent', async (_, given, said) => {
    const [options, flags] = await given();
    const { exitCode, stderr, asked } = await run(command, options, flags);
    expect(stderr).toMatch(said);
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
    expect(exitCode).toBe(3);
    expect(asked).toBe(0);
  });

  test('TLS 1.1 is not spoken', async () => {
    const old: TlsOptions = {
      ...LOCAL,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    };
    const flags = { 'ca-file': LOCALHOST.pathname };
    const { exitCode, asked } = await run(command, old, flags);
    expect(exitCode).toBe(3);
    expect(asked).toBe(0);
  });
});

describe('--src-insecure and --src-ca-file', () => {
  test.each([
    ['insecure', true],
    ['ca-file', LOCALHOST.pathname],
  ])('%s of one side is nothing to the other', async (flag, value) => {
    const migration = await prepareMigration({
      source: { tls: LOCAL },
      destination: { tls: LOCAL },
    });
    await migration.givenPhotos(1);
    for (const [prefix, other] of [
      ['src', 'destination'],
      ['dest', 'source'],
    ] as const) {
      const { exitCode, stderr } = await migration.run({ [`${prefix}-${flag}`]: value as true });
      expect(stderr).toMatch(new RegExp(`^s3migrate: ${other} .*self-signed`, 'm'));
      expect(/WARNING: --(?:src|dest)-insecure/.exec(stderr)?.[0]).toBe(
        flag === 'insecure' ? `WARNING: --${prefix}-insecure` : undefined,
      );
      expect(exitCode).toBe(3);
    }
    expect(migration.writesSeen()).toBe(0);
  });
});

test('https that is http, and http that is https, are told as that', async () => {
  const plain = await prepareMigration();
  await plain.givenPhotos(1);
  const url = plain.source.server.url.replace('http:', 'https:');
  const asTls = await plain.run({ 'src-url': url });
  expect(asTls.stderr).toContain('it does not speak TLS: http instead of https?');
  expect(asTls.exitCode).toBe(3);

  const secure = await prepareMigration({ source: { tls: LOCAL } });
  await secure.givenPhotos(1);
  const asPlain = await secure.run({
    'src-url': secure.source.server.url.replace('https:', 'http:'),
  });
  expect(asPlain.stderr).toMatch(/is http or https right\?|it must be an S3 endpoint/);
  expect(asPlain.exitCode).toBe(3);
});
