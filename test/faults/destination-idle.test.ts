/**
 * T17: a kept connection is closed by the destination when it is used again. What was to be sent goes out on another
 * one, and nobody notices.
 */
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { prepareMigration } from '../cli/migration.ts';
import { KINDS, type Kind, objectOf, PROOF } from './destination-scene.ts';
import { Invariants } from './invariants.ts';
import { type Passing, startProxy } from './proxy.ts';

/** Counts the requests of a connection: bytes of the client's that follow bytes of the server's begin another. */
function onRequest({ client, server }: Passing, told: (number: number) => void): void {
  let requests = 0;
  let isAnswered = true;
  server.on('data', () => {
    isAnswered = true;
  });
  client.prependListener('data', () => {
    if (isAnswered) told(++requests);
    isAnswered = false;
  });
}

/** What comes then does not reach the server behind. */
const ENDINGS = {
  'resets each connection at its second request': (passing: Passing) =>
    onRequest(passing, (number) => {
      if (number < 2) return;
      passing.server.destroy();
      passing.client.resetAndDestroy();
    }),
  'closes each connection at its second request': (passing: Passing) =>
    onRequest(passing, (number) => {
      if (number < 2) return;
      passing.server.destroy();
      passing.client.destroySoon();
    }),
  'closes each connection after its third answer without saying so': (passing: Passing) =>
    onRequest(passing, (number) => {
      if (number !== 3) return;
      passing.server.once('data', () =>
        setImmediate(() => {
          passing.server.destroy();
          passing.client.destroySoon();
        }),
      );
    }),
};

const COUNTS: Readonly<Record<Kind, number>> = { small: 40, through: 10, parts: 3 };

for (const cores of [1, 2]) {
  test.each(Object.entries(ENDINGS))(
    `T17: a destination that %s gets every object (--cores ${cores})`,
    async (_, end) => {
      const migration = await prepareMigration();
      const { source, destination } = migration;
      for (const kind of KINDS) {
        for (let i = 0; i < COUNTS[kind]; i++) {
          const key = `${kind}-${i}`;
          source.bucket.put(key as ObjectKey, objectOf(kind, key));
        }
      }
      await migration.listKeys();
      const invariants = new Invariants(migration);
      const port = await startProxy(destination.server.port, end);

      const { exitCode } = await migration.run({
        cores,
        threads: 8,
        'dest-url': `http://127.0.0.1:${port}`,
      });

      expect(exitCode).toBe(0);
      const { migrate } = await invariants.expectComplete();
      expect(migrate).toHaveLength(source.bucket.keys().length);
      for (const { key, outcome, detail } of migrate) {
        const kind = key.split('-')[0] as Kind;
        expect([key, outcome, detail]).toEqual([key, 'copied', PROOF[kind]]);
      }
      expect(destination.bucket.uploads()).toEqual([]);
    },
  );
}
