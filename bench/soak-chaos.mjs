/**
 * What happens to both servers of bench/soak.mjs, and on the way to them, while it migrates.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** All in seconds, from the first to the second. */
const BETWEEN_KILLS = [8, 40];
const DOWN = [0, 6];
const LONG_DOWN = [12, 25];
const BETWEEN_STORMS = [3, 15];
const STORM = [1, 8];
/** Longer than the 30 s after which s3migrate gives up what does not move. */
const LONG_STALL = [32, 36];
const LONG = 0.08;

export class Chaos {
  counts;
  #sides;
  #random;
  #calm;
  #loops;

  /**
   * @param sides by name, `server` and `proxy`
   * @param counts is added to: `kills` by server, `storms` by kind
   */
  constructor({ sides, random, counts }) {
    this.#sides = sides;
    this.#random = random;
    this.counts = counts;
  }

  start() {
    this.#calm = new AbortController();
    const servers = Object.entries(this.#sides).map(([name, { server }]) =>
      this.#killing(name, server),
    );
    this.#loops = Promise.all([...servers, this.#storming()]);
    // A server that does not come up is told by stop().
    this.#loops.catch(() => {});
  }

  /** Servers that are down come up, storms end, none follow. */
  calm() {
    this.#calm.abort();
  }

  /** Returns when both servers are up and nothing is in their way. */
  async stop() {
    this.calm();
    await this.#loops;
  }

  async #killing(name, server) {
    while (await this.#pause(BETWEEN_KILLS)) {
      await server.kill();
      this.counts.kills[name]++;
      await this.#pause(this.#random.chance(LONG) ? LONG_DOWN : DOWN);
      await server.start();
    }
  }

  async #storming() {
    while (await this.#pause(BETWEEN_STORMS)) {
      const kind = this.#random.one(['503', 'reset', 'stall']);
      const { proxy } = this.#random.one(Object.values(this.#sides));
      this.counts.storms[kind]++;
      if (kind === 'reset') {
        proxy.reset(() => this.#random.chance(0.5));
      } else if (kind === '503') {
        proxy.refuse(true);
        await this.#pause(STORM);
        proxy.refuse(false);
      } else {
        proxy.stall(true);
        await this.#pause(this.#random.chance(LONG) ? LONG_STALL : STORM);
        proxy.stall(false);
      }
    }
  }

  /** @returns false when it is to be calm now */
  async #pause([from, to]) {
    const ms = this.#random.between(from, to) * 1000;
    await sleep(ms, undefined, { signal: this.#calm.signal }).catch(() => {});
    return !this.#calm.signal.aborted;
  }
}
