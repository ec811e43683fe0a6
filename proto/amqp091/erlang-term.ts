/**
 * Bytes as Erlang prints them, because RabbitMQ's error texts contain them and
 * clients' tests compare the texts.
 *
 * Two notations: `~w` always lists the numbers, `~p` shows a printable binary
 * as a string. Unlike Erlang we never break long terms into lines.
 *
 * Source: io_lib of Erlang/OTP 25, tried value by value; behaviours 31 to 44.
 */

/** Escapes of Erlang's strings, by byte. */
const escapes: ReadonlyMap<number, string> = new Map([
  [8, '\\b'],
  [9, '\\t'],
  [10, '\\n'],
  [11, '\\v'],
  [12, '\\f'],
  [13, '\\r'],
  [27, '\\e'],
  [34, '\\"'],
  [92, '\\\\'],
]);

/** What a reply text can hold is 255 bytes: a longer range is cut, the text is cut after it anyway. */
const RENDERED_BYTES_MAX = 256;

/** `<<1,2,3>>`: the notation of `~w`. */
export function formatBytes(bytes: Buffer, start: number, end: number): string {
  const last = Math.min(end, start + RENDERED_BYTES_MAX);
  return `<<${bytes.subarray(start, last).join(',')}>>`;
}

/** `<<"abc">>` when all bytes are printable Latin-1, else `<<1,2,3>>`, `<<>>` when empty: the notation of `~p`. */
export function formatBytesPretty(bytes: Buffer, start: number, end: number): string {
  if (start === end) return '<<>>';
  const text = printable(bytes, start, end);
  return text === null ? formatBytes(bytes, start, end) : `<<"${text}">>`;
}

/** A string (a list of characters) in the notation of `~p`: `"abc"`, or `[1,2]` when it is not printable. */
export function formatString(bytes: Buffer, start: number, end: number): string {
  const text = printable(bytes, start, end);
  if (text !== null) return `"${text}"`;
  return `[${bytes.subarray(start, Math.min(end, start + RENDERED_BYTES_MAX)).join(',')}]`;
}

/** Escaped, without quotes; null when a byte is not printable Latin-1. */
function printable(bytes: Buffer, start: number, end: number): string | null {
  const last = Math.min(end, start + RENDERED_BYTES_MAX);
  let text = '';
  for (let at = start; at < last; at++) {
    const byte = bytes[at]!;
    const escaped = escapes.get(byte);
    if (escaped !== undefined) text += escaped;
    else if ((byte >= 32 && byte <= 126) || byte >= 160) text += String.fromCharCode(byte);
    else return null;
  }
  return text;
}

/** `text`, or as many whole characters of it as fit into `bytesMax` bytes of UTF-8. */
export function truncateUtf8(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax;
  // 10xxxxxx is the inside of a character: its beginning goes too.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
