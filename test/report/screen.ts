/**
 * A terminal as small as the tests need: takes what a program writes and tells what a person sees.
 *
 * Knows line feeds, returns, wrapping, scrolling, saving and restoring the cursor, moving to a column and erasing in the
 * line. Anything else throws, so that a sequence that changes the terminal cannot slip through.
 */

// oxlint-disable-next-line no-control-regex
const SEQUENCE = /\x1b(?:([78])|\[([0-9]*)([GK]))/y;

export class Screen {
  #rows: string[] = [''];
  #row = 0;
  #column = 0;
  #saved = { row: 0, column: 0 };
  readonly #size: { readonly columns: number; readonly rows: number };

  constructor(size: { columns: number; rows: number }) {
    this.#size = size;
  }

  /** What is on the screen, top to bottom, without trailing blanks; the last row is the cursor's or below. */
  get rows(): readonly string[] {
    return this.#rows.map((row) => row.trimEnd());
  }

  write(output: string): void {
    let at = 0;
    while (at < output.length) {
      const char = String.fromCodePoint(output.codePointAt(at) ?? 0);
      if (char === '\x1b') {
        SEQUENCE.lastIndex = at;
        const match = SEQUENCE.exec(output);
        if (match === null) {
          throw new Error(`unexpected sequence: ${JSON.stringify(output.slice(at, at + 12))}`);
        }
        this.#control(match);
        at = SEQUENCE.lastIndex;
      } else {
        this.#put(char);
        at += char.length;
      }
    }
  }

  #control([, cursor, parameter, command]: RegExpExecArray): void {
    if (cursor === '7') {
      this.#saved = { row: this.#row, column: this.#column };
    } else if (cursor === '8') {
      ({ row: this.#row, column: this.#column } = this.#saved);
    } else if (command === 'G') {
      this.#column = Number(parameter || 1) - 1;
    } else {
      this.#rows[this.#row] = this.#current().slice(0, this.#column);
    }
  }

  #put(char: string): void {
    if (char === '\r') {
      this.#column = 0;
      return;
    }
    if (char === '\n') {
      this.#column = 0;
      this.#nextRow();
      return;
    }
    if (this.#column >= this.#size.columns) {
      this.#column = 0;
      this.#nextRow();
    }
    const row = this.#current().padEnd(this.#column);
    this.#rows[this.#row] = row.slice(0, this.#column) + char + row.slice(this.#column + 1);
    this.#column++;
  }

  #nextRow(): void {
    this.#row++;
    if (this.#row === this.#rows.length) this.#rows.push('');
    if (this.#rows.length > this.#size.rows) {
      this.#rows.shift();
      this.#row--;
    }
  }

  #current(): string {
    return this.#rows[this.#row] ?? '';
  }
}
