/** Something that must not be, found in a torture run. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** @throws Violation unless it holds */
export function must(holds: boolean, otherwise: () => string): asserts holds {
  if (!holds) throw new Violation(otherwise());
}
