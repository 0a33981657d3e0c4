/**
 * Flags that the reference takes with one dash, such as `-csv`: commander would take them for bundles of
 * one-letter ones.
 */

/** @param names flags without dashes; arguments after `--` are left alone */
export function withDoubleDashes(argv: readonly string[], names: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((argument, index) => {
    if (end !== -1 && index > end) return argument;
    const isOne = names.some((name) => argument === `-${name}` || argument.startsWith(`-${name}=`));
    return isOne ? `-${argument}` : argument;
  });
}
