/**
 * Credentials from a file, and what is wrong with it; the AWS SDK's providers are tested with the program.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { credentialsToCheck, openKeyring } from '../../src/s3/credentials.ts';

const FLAG = '--src-credentials';
const KEYS = { AccessKeyId: 'AKIDTEST', SecretAccessKey: 'wonderful/s3cret' };
const AT_ONCE = { waitsMs: [0, 0], limitMs: 10_000 };

let path: string;
beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 's3migrate-credentials-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  path = join(folder, 'credentials.json');
});

const write = (content: unknown) =>
  writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
const open = () => openKeyring({ from: 'file', path }, FLAG, AT_ONCE);

it('are read from a file as a credential_process prints it', async () => {
  const expiration = new Date(Date.now() + 3_600_000);
  await write({ Version: 1, ...KEYS, SessionToken: 'token', Expiration: expiration.toISOString() });
  const { current } = await open();
  expect(current).toEqual({
    accessKey: KEYS.AccessKeyId,
    secret: KEYS.SecretAccessKey,
    sessionToken: 'token',
    expiresAtMs: expiration.getTime(),
  });
});

it('are read again when they are refused', async () => {
  await write({ ...KEYS, SessionToken: 'one' });
  const keyring = await open();
  await write({ ...KEYS, SessionToken: 'two' });
  expect(await keyring.renew(keyring.current)).toMatchObject({ sessionToken: 'two' });
});

describe('a file', () => {
  it.each([
    ['that is not JSON', `{"SecretAccessKey": ${KEYS.SecretAccessKey}`, 'it is not JSON'],
    ['that is null', 'null', 'it has no AccessKeyId'],
    ['without a secret', { AccessKeyId: 'AKIDTEST' }, 'no SecretAccessKey'],
    ['with a line break', { ...KEYS, SessionToken: 'to\nken' }, 'a line break'],
    ['with an odd date', { ...KEYS, Expiration: 'tomorrow' }, 'is no date'],
    ['that is outdated', { ...KEYS, Expiration: '2020-01-01T00:00:00Z' }, 'expired at 2020-01-01'],
  ])('%s is refused without showing what is in it', async (_, content, reason) => {
    await write(content);
    const error: unknown = await open().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: 'MigrateError',
      exitCode: 3,
      message: expect.stringMatching(
        new RegExp(`^no credentials from ${FLAG} file=\\S+: .*${reason}`),
      ),
      hint: expect.stringContaining('JSON'),
    });
    expect(JSON.stringify(error) + String(error)).not.toContain('s3cret');
  });

  it('that is not there is named', async () => {
    await expect(open()).rejects.toMatchObject({ message: expect.stringContaining('ENOENT') });
  });

  it('that is replaced while it is asked for again and again is found', async () => {
    await write({ ...KEYS, SessionToken: 'one' });
    const patience = { waitsMs: Array.from({ length: 1000 }, () => 1), limitMs: 10_000 };
    const keyring = await openKeyring({ from: 'file', path }, FLAG, patience);
    await write('{');
    const renewed = keyring.renew(keyring.current);
    await write({ ...KEYS, SessionToken: 'two' });
    expect(await renewed).toMatchObject({ sessionToken: 'two' });
  });

  it('that stays broken is given up', async () => {
    await write(KEYS);
    const keyring = await open();
    await write('{');
    await expect(keyring.renew(keyring.current)).rejects.toMatchObject({ exitCode: 3 });
  });
});

it('name what to check by the flags they came from', () => {
  const flag = (name: string) => `--dest-${name}`;
  const keys = { accessKey: 'a', secret: 'b' };
  expect(credentialsToCheck(keys, flag)).toBe('Check --dest-key and --dest-secret');
  expect(credentialsToCheck({ ...keys, sessionToken: 'c' }, flag)).toContain(
    '--dest-session-token',
  );
  expect(credentialsToCheck({ from: 'profile', profile: 'ci' }, flag)).toContain(
    '--dest-credentials profile=ci',
  );
  expect(credentialsToCheck({ from: 'aws' }, flag)).toContain('--dest-credentials aws');
});
