/**
 * Flags from environment variables: what commander leaves open about them.
 */
import type { Option } from 'commander';
import { displayText } from '../object-key.ts';
import { usageError } from './options.ts';

const ON = /^(?:1|true|yes|on)$/i;
const OFF = /^(?:0|false|no|off)$/i;

/**
 * Removes variables that say nothing or no: empty ones, as `export NAME=` and templates leave them, and
 * those that switch a flag off. commander would take the empty text for a value, and for a flag without
 * a value any text, `false` too, for yes.
 *
 * @param environment changed
 * @throws MigrateError (2) naming the variable of a flag without a value that says neither yes nor no
 */
export function settleEnvironment(
  options: readonly Option[],
  environment: Record<string, string | undefined>,
): void {
  for (const { envVar: name = '', required } of options) {
    const value = environment[name];
    if (value === undefined) continue;
    if (value === '' || (!required && OFF.test(value))) delete environment[name];
    else if (!required && !ON.test(value)) {
      throw usageError(
        `${name} "${displayText(value)}" is neither on nor off`,
        'Give 1 or 0, or remove it from the environment.',
      );
    }
  }
}
