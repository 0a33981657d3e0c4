/**
 * Both buckets of a torture run, what others do to them, and what is to be remembered of that for the model.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectKey } from '../../src/object-key.ts';
import { type Migration, prepareMigration } from '../cli/migration.ts';
import { Invariants } from '../faults/invariants.ts';
import { contentOf } from './dice.ts';
import { CODES, describe, type Fault, type Others, script } from './fault-kinds.ts';
import type { GivenObject } from './given-object.ts';
import type { Facts } from './model.ts';
import type { Scenario } from './scenario.ts';
import type { Tally } from './tally.ts';

const ETAGS = { opaque: '0x8DCAFE', another: '00112233445566778899aabbccddeeff' } as const;

export class World implements Others {
  readonly migration: Migration;
  readonly invariants: Invariants;
  /** What happened, in order: for the story of a violation. */
  readonly story: string[] = [];
  readonly #scenario: Scenario;
  readonly #tally: Tally;
  readonly #versions = new Map<string, (Buffer | undefined)[]>();
  readonly #before = new Map<string, Buffer>();
  readonly #theirs = new Map<string, Buffer>();
  readonly #refusedOnce = new Map<string, Set<string>>();
  readonly #doubted = new Set<string>();
  readonly #beganMs = performance.now();
  #brokenOff = false;
  #uploadMayBeLost = false;

  private constructor(scenario: Scenario, migration: Migration, tally: Tally) {
    this.#scenario = scenario;
    this.#tally = tally;
    this.migration = migration;
    for (const object of scenario.source) {
      this.#put('source', object);
      this.#versions.set(object.key, [object.body]);
    }
    for (const object of scenario.destination) {
      this.#put('destination', object);
      this.#before.set(object.key, object.body);
    }
    if (scenario.keepsTruncated) migration.destination.script.keepTruncated();
    this.invariants = new Invariants(migration);
  }

  static async prepare(scenario: Scenario, tally: Tally): Promise<World> {
    const migration = await prepareMigration();
    for (const side of ['src', 'dest'] as const) {
      for (const { name, content } of scenario.files[side]) {
        await writeFile(migration.path('lists', side, name), content);
      }
      await mkdir(join(migration.path('lists', side), 'a-folder'));
    }
    return new World(scenario, migration, tally);
  }

  /** Whatever kept a start from ending what it had begun. */
  noteBrokenOff(): void {
    this.#brokenOff = true;
  }

  /** Whether an upload may be open that nobody knows the id of. */
  get mayLeaveUploads(): boolean {
    return this.#brokenOff || this.#uploadMayBeLost;
  }

  get facts(): Facts {
    const { listed, startAfter = '', refusals } = this.#scenario;
    return {
      versions: this.#versions,
      before: this.#before,
      theirs: this.#theirs,
      destinationList: new Set(listed.dest),
      startAfter,
      refused: new Map(
        refusals.map(({ key = '', side, kind }) => [key, { side, code: CODES[kind] ?? '' }]),
      ),
      refusedOnce: this.#refusedOnce,
      doubted: this.#doubted,
      brokenOff: this.#brokenOff,
    };
  }

  tell(event: string): void {
    this.story.push(`${Math.round(performance.now() - this.#beganMs)} ms: ${event}`);
  }

  /** Takes all rules off both servers, but for the refusals. */
  calm(): void {
    for (const side of ['source', 'destination'] as const) this.migration[side].script.clear();
    for (const refusal of this.#scenario.refusals) this.script(refusal);
  }

  script(fault: Fault): void {
    const rule = this.migration[fault.side].script.on(fault.operation, fault.key);
    if (fault.times !== undefined) rule.times(fault.times);
    if (fault.skip !== undefined) rule.skip(fault.skip);
    rule.before(({ request }) => this.#noteFired(fault, request.key));
    script(rule, fault, this);
  }

  writeFirst(key: string): void {
    const { bucket } = this.migration.destination;
    if (bucket.get(key as ObjectKey) !== undefined) return;
    const source = this.migration.source.bucket.get(key as ObjectKey)?.body;
    const body = contentOf(`theirs ${key}`, source?.length ?? 1);
    this.migration.destination.put(key, body);
    this.#theirs.set(key, body);
    this.invariants.noteForeign(key);
    this.tell(`others have written ${JSON.stringify(key)}`);
  }

  change(key: string): void {
    const version = this.#versions.get(key)?.length ?? 0;
    const before = this.migration.source.bucket.get(key as ObjectKey)?.body;
    const body = contentOf(`source ${key} ${version}`, before?.length ?? 0);
    this.migration.source.put(key, body);
    this.#versions.get(key)?.push(body);
    this.invariants.noteSource();
  }

  remove(key: string): void {
    this.migration.source.bucket.delete(key as ObjectKey);
    this.#versions.get(key)?.push(undefined);
  }

  #put(side: 'source' | 'destination', { key, body, etag, partBytes }: GivenObject): void {
    this.migration[side].put(key, body, {
      ...(etag === undefined ? {} : { etag: ETAGS[etag] }),
      ...(partBytes === undefined ? {} : { partBytes }),
    });
  }

  #noteFired(fault: Fault, key: string): void {
    this.#tally.faults.add(`${fault.operation}: ${fault.kind}`);
    this.tell(`fault: ${describe({ ...fault, key })}`);
    const code = CODES[fault.kind];
    if (code !== undefined && fault.times !== undefined) {
      this.#refusedOnce.set(key, (this.#refusedOnce.get(key) ?? new Set()).add(code));
    }
    if (fault.kind === 'wrong ETag') this.#doubted.add(key);
    if (fault.operation === 'CreateMultipartUpload' && fault.kind.startsWith('answer lost')) {
      this.#uploadMayBeLost = true;
    }
  }
}
