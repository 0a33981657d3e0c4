/**
 * What is published, and what listens.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { prepareMigration } from '../cli/migration.ts';

const ROOT = join(import.meta.dirname, '../..');

test('the package ships the program, its documents and its list of components, and no keys, tests or fixtures', async () => {
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--dry-run', '--json', '--ignore-scripts'],
    { cwd: ROOT },
  );
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  expect(paths).toContain('dist/cli/s3migrate.js');
  expect(
    paths.filter(
      (path) =>
        !/^(?:bin|dist|docs)\/|^(?:bench\/README|[A-Z]+)\.md$|^(?:LICENSE|package\.json|sbom\.cdx\.json)$/.test(
          path,
        ),
    ),
  ).toEqual([]);
  expect(paths.filter((path) => /\.(?:pem|key|env|log)$/.test(path))).toEqual([]);
});

test('the list of components can be made, and has every dependency', async () => {
  const { stdout } = await promisify(execFile)(
    'npm',
    ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev', '--package-lock-only'],
    { cwd: ROOT, maxBuffer: 64 * 1024 ** 2 },
  );
  const { components } = JSON.parse(stdout) as { components: { name: string }[] };
  const names = components.map(({ name }) => name);
  for (const name of ['commander', 'p-limit', 'cli-progress', 'fast-csv', 'xxhash-wasm']) {
    expect(names).toContain(name);
  }
  expect(names).not.toContain('vitest');
});

test('the embedded server cannot be reached but over loopback', async () => {
  const { source } = await prepareMigration();
  const { hostname, port } = new URL(source.server.url);
  expect(hostname).toBe('127.0.0.1');
  const others = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address?.internal === false && address.family === 'IPv4');
  for (const address of others) {
    const socket = connect(Number(port), address?.address);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
  }
});
