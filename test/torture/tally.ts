/**
 * What the runs of a torture came to: counted, added up over files and processes, and told at the end. Tells
 * also whether anything was put to the test at all.
 */

/** How often each of some names came. */
class Counts {
  readonly #counts = new Map<string, number>();

  constructor(counts: Readonly<Record<string, number>> = {}) {
    for (const [name, count] of Object.entries(counts)) this.add(name, count);
  }

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries([...this.#counts].toSorted(([, a], [, b]) => b - a));
  }
}

/** The numbers of a tally, in the order of its summary. */
const NUMBERS = [
  'runs',
  'starts',
  'resumes',
  'listed',
  'copied',
  'bytes',
  'skipped',
  'failed',
  'cleanups',
] as const;

type Numbers = Record<(typeof NUMBERS)[number], number>;

export class Tally {
  readonly numbers: Numbers = Object.fromEntries(NUMBERS.map((name) => [name, 0])) as Numbers;
  /** Starts that were ended, by how and when. */
  readonly endings = new Counts();
  /** Faults that came to pass, by operation and kind. */
  readonly faults = new Counts();
  /** One sentence each. */
  readonly violations: string[] = [];

  /** @param json of a tally, parsed */
  add(json: ReturnType<Tally['toJSON']>): void {
    for (const name of NUMBERS) this.numbers[name] += json.numbers[name];
    for (const [name, count] of Object.entries(json.endings)) this.endings.add(name, count);
    for (const [name, count] of Object.entries(json.faults)) this.faults.add(name, count);
    this.violations.push(...json.violations);
  }

  toJSON() {
    const { numbers, endings, faults, violations } = this;
    return { numbers, endings: endings.toJSON(), faults: faults.toJSON(), violations };
  }

  /** Why nothing is proven, one clause each; none when something is. */
  get unproven(): string[] {
    const killed = Object.entries(this.endings.toJSON()).some(([name]) =>
      name.startsWith('SIGKILL'),
    );
    return [
      ...(killed ? [] : ['nothing was killed']),
      ...(this.numbers.copied > 0 ? [] : ['nothing was copied']),
      ...(this.numbers.resumes > 0 ? [] : ['nothing was resumed']),
    ];
  }

  /** Lines for people, each ended by a line feed. */
  summary(): string {
    const { numbers, endings, faults, violations } = this;
    const lines = [
      `runs ${numbers.runs}, starts ${numbers.starts}, of them resumed ${numbers.resumes}, ended from outside ${endings.total}`,
      `keys listed ${numbers.listed}: copied ${numbers.copied} (${numbers.bytes} bytes), skipped ${numbers.skipped}, failed ${numbers.failed}`,
      `cleanups of uploads ${numbers.cleanups}`,
      `ended from outside:`,
      ...Object.entries(endings.toJSON()).map(([name, count]) => `  ${count} ${name}`),
      `faults fired ${faults.total}:`,
      ...Object.entries(faults.toJSON()).map(([name, count]) => `  ${count} ${name}`),
      `violations ${violations.length}`,
      ...violations.map((violation) => `  ${violation}`),
    ];
    return lines.map((line) => `torture: ${line}\n`).join('');
  }
}
