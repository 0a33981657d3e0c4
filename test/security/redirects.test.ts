/**
 * Redirects are never followed: a second server listens where the first one points, and nobody comes. Whoever followed
 * one would sign for a host that the operator has not named.
 */
import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { prepareMigration } from '../cli/migration.ts';
import { runProgram } from '../support/run-s3migrate.ts';
import { listen } from '../wire/scripted-server.ts';

/** A server that nobody must connect to; what it counts are connections, not requests. */
async function givenTrap(): Promise<{ url: string; connections: () => number }> {
  let connections = 0;
  const server = createServer((_, response) => response.end());
  server.on('connection', () => connections++);
  const port = await listen(server);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${port}/photos`, connections: () => connections };
}

const STATUSES = [301, 302, 303, 307, 308];

test.each(STATUSES)('a bucket that answers %i is refused, for every command', async (status) => {
  const trap = await givenTrap();
  const server = createServer((_, response) => {
    response.writeHead(status, { location: trap.url, 'x-amz-bucket-region': 'eu-west-9' });
    response.end();
  });
  const url = `http://127.0.0.1:${await listen(server)}`;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const migration = await prepareMigration();
  await migration.givenPhotos(1);
  const keys = ['--url', url, '--bucket', 'photos', '--key', 'user', '--secret', 'some-s3cret'];
  for (const { exitCode, stderr } of await Promise.all([
    migration.run({ 'src-url': url }),
    migration.run({ 'dest-url': url, 'log-folder': migration.path('other') }),
    runProgram(['list', ...keys, migration.path('made')]),
  ])) {
    expect(stderr).toMatch(/elsewhere \(status 30\d\)/);
    expect(exitCode).toBe(3);
  }
  expect(trap.connections()).toBe(0);
});

test.each(STATUSES)(
  'an object that is redirected with %i fails, at either side',
  async (status) => {
    const trap = await givenTrap();
    const migration = await prepareMigration();
    const [first = '', second = ''] = await migration.givenPhotos(3);
    const redirect = { status, headers: { location: trap.url }, body: Buffer.alloc(0) };
    migration.source.script.on('GetObject', first).alter(() => redirect);
    migration.destination.script.on('PutObject', second).alter(() => redirect);
    const { exitCode } = await migration.run();
    expect(exitCode).toBe(1);
    const failed = await migration.failedLog();
    expect(failed).toHaveLength(2);
    for (const line of failed) expect(line).toContain(`${trap.url}; not followed`);
    expect(trap.connections()).toBe(0);
  },
);

test.each(STATUSES)('a listing that is redirected with %i ends', async (status) => {
  const trap = await givenTrap();
  const migration = await prepareMigration();
  const { source } = migration;
  source.script.on('ListObjectsV2').alter(() => ({
    status,
    headers: { location: trap.url, 'x-amz-bucket-region': 'eu-west-9' },
    body: Buffer.from(
      '<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1</Endpoint></Error>',
    ),
  }));
  const { exitCode, stderr } = await runProgram([
    'list',
    '--url',
    source.server.url,
    '--bucket',
    source.bucketName,
    '--key',
    source.accessKey,
    '--secret',
    source.secret,
    migration.path('made'),
  ]);
  expect(stderr).toMatch(/cannot be listed/);
  expect(exitCode).toBe(3);
  expect(source.script.count('ListObjectsV2')).toBe(1);
  expect(trap.connections()).toBe(0);
});
