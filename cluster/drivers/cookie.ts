/**
 * The secret that all nodes of a cluster and its operators' tools share.
 *
 * A file named explicitly wins, then the environment (RABBITMQ_ERLANG_COOKIE),
 * then `.erlang.cookie` in the data directory, made at the first start: 32
 * random bytes as text, readable by its owner only. A file that others may
 * read is refused instead of repaired: the secret may have been read already.
 *
 * Source: RabbitMQ's CLI and clustering guides (cookie, mode, 255 characters).
 */
import { randomBytes } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

export const COOKIE_FILE_NAME = '.erlang.cookie';
const COOKIE_CHARS_MAX = 255;
const COOKIE_RANDOM_BYTES = 32;

export interface CookieOptions {
  readonly dataDir: string;
  /** Null: none was named. It must exist. */
  readonly file: string | null;
  /** RABBITMQ_ERLANG_COOKIE; null or empty: not set. */
  readonly environment: string | null;
}

export interface Cookie {
  readonly text: string;
  /** Null: it came from the environment. */
  readonly file: string | null;
}

/** @throws Error with one line that says what to do. */
export async function loadCookie(options: CookieOptions): Promise<Cookie> {
  if (options.file !== null) return { text: await readCookieFile(options.file), file: options.file };
  if (options.environment !== null && options.environment !== '') {
    return { text: checkedText(options.environment, 'RABBITMQ_ERLANG_COOKIE'), file: null };
  }
  const file = join(options.dataDir, COOKIE_FILE_NAME);
  await createCookieFile(file);
  return { text: await readCookieFile(file), file };
}

/** @throws Error with one line that says what to do. */
export async function readCookieFile(file: string): Promise<string> {
  let mode: number;
  let text: string;
  try {
    mode = (await stat(file)).mode & 0o777;
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`cookie file ${file} can't be read: ${messageOf(error)}`, { cause: error });
  }
  if ((mode & 0o077) !== 0) {
    const found = `has mode 0${mode.toString(8)}, others than its owner may use it`;
    throw new Error(`cookie file ${file} ${found}: expected 0600, run chmod 600 ${file}`);
  }
  return checkedText(text, `cookie file ${file}`);
}

/** Leaves a file that is there as it is. */
async function createCookieFile(file: string): Promise<void> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, 'wx', 0o600);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    throw new Error(`cookie file ${file} can't be created: ${messageOf(error)}`, { cause: error });
  }
  try {
    await handle.writeFile(randomBytes(COOKIE_RANDOM_BYTES).toString('base64url'));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Editors end files with a newline; Erlang ignores it too. */
function checkedText(text: string, source: string): string {
  const cookie = text.replace(/[\r\n]+$/, '');
  if (cookie === '') throw new Error(`${source} is empty: expected 1 to ${COOKIE_CHARS_MAX} characters`);
  if (cookie.length > COOKIE_CHARS_MAX) {
    throw new Error(`${source} has ${cookie.length} characters: expected 1 to ${COOKIE_CHARS_MAX}`);
  }
  return cookie;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
