/**
 * One log file open for appending. It only ever ends in a whole record, as far as the disk allows.
 *
 * The caller appends one call at a time; {@link AppendLog.sync} may run beside an append and then
 * covers what was appended before it was called.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat } from 'node:fs/promises';
import { MigrateError } from '../errors.ts';
import { cannotOpen, cannotWrite, openRegular, writeFully } from './disk.ts';

export interface AppendLogOptions {
  readonly path: string;
  /** The first line, with its line feed; written when `end` is 0. */
  readonly header: string;
  /** Where the good part ends, in bytes; what is after it is cut off. */
  readonly end: number;
}

export class AppendLog {
  readonly path: string;
  readonly #file: FileHandle;
  #size: number;

  private constructor(path: string, file: FileHandle, size: number) {
    this.path = path;
    this.#file = file;
    this.#size = size;
  }

  /**
   * Opens or creates the log. What it cut off or wrote is on the disk when this resolves.
   *
   * @throws MigrateError (2) when that is not possible
   */
  static async open({ path, header, end }: AppendLogOptions): Promise<AppendLog> {
    const { O_RDWR, O_APPEND, O_CREAT } = constants;
    const file = await openRegular(path, O_RDWR | O_APPEND | O_CREAT);
    if (file === undefined) throw new Error('O_CREAT opens or throws');
    try {
      const { size } = await file.stat();
      if (size > end) await file.truncate(end);
      if (end === 0) {
        await file.chmod(0o600);
        await writeFully(file, Buffer.from(header, 'latin1'));
      }
      if (size !== end || end === 0) await file.sync();
    } catch (error) {
      await file.close();
      throw cannotOpen(path, error);
    }
    return new AppendLog(path, file, end === 0 ? header.length : end);
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  /**
   * Appends whole lines, a byte string.
   *
   * @throws MigrateError (3) when the disk takes not all of them; the file then ends after the last
   *   whole line it took, or, if even that fails, in a torn line that the next opening drops
   */
  async append(lines: string): Promise<void> {
    if (lines === '') return;
    const bytes = Buffer.from(lines, 'latin1');
    let written = 0;
    try {
      await writeFully(this.#file, bytes, (count) => {
        written = count;
      });
      this.#size += bytes.length;
    } catch (error) {
      const whole = written === 0 ? 0 : bytes.lastIndexOf(0x0a, written - 1) + 1;
      this.#size += whole;
      await this.#file.truncate(this.#size).catch(() => {});
      throw cannotWrite(this.path, error);
    }
  }

  /** @throws MigrateError (3) when the disk cannot keep what was appended */
  async sync(): Promise<void> {
    try {
      await this.#file.datasync();
    } catch (error) {
      throw cannotWrite(this.path, error);
    }
  }

  /**
   * Whether the name still leads to what was written, all of it. Looked at where it counts, at the end: nobody
   * but this process has any business here.
   *
   * @throws MigrateError (3) when it does not
   */
  async refuseUnlessInPlace(): Promise<void> {
    // By its length, not the inode number: some network and FUSE file systems give a new one at every look.
    const found = await lstat(this.path).catch(() => undefined);
    if (found?.isFile() === true && found.size === this.#size) return;
    throw new MigrateError(`${this.path}: was removed, replaced or cut while the run wrote it`, {
      exitCode: 3,
      hint: 'What it held cannot be told any more: give another --log-folder; what is at the destination already is skipped then.',
    });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
