/**
 * Adds header x-delivery-count to raw property bytes without decoding them: the
 * entry is appended to the headers table, which begins after content-type and
 * content-encoding. Of two entries of one name the later wins, for us and for
 * every client that reads tables into a map.
 *
 * Source: AMQP 0-9-1 §4.2.6.1 (property flags), behaviour 137.
 */
const CONTENT_TYPE = 0x8000;
const CONTENT_ENCODING = 0x4000;
const HEADERS = 0x2000;

const NAME = 'x-delivery-count';
/** Name with length octet, type tag l, int64. */
const ENTRY_BYTES = 1 + NAME.length + 1 + 8;

/** @returns new property bytes; the given ones are not changed. */
export function withDeliveryCount(bytes: Buffer, start: number, end: number, deliveryCount: number): Buffer {
  const flags = bytes.readUInt16BE(start);
  let at = start + 2;
  if ((flags & CONTENT_TYPE) !== 0) at += 1 + bytes[at]!;
  if ((flags & CONTENT_ENCODING) !== 0) at += 1 + bytes[at]!;
  const hasHeaders = (flags & HEADERS) !== 0;
  const tableBytes = hasHeaders ? bytes.readUInt32BE(at) : 0;
  const insertAt = hasHeaders ? at + 4 + tableBytes : at;
  const added = ENTRY_BYTES + (hasHeaders ? 0 : 4);
  const result = Buffer.allocUnsafe(end - start + added);
  bytes.copy(result, 0, start, insertAt);
  result.writeUInt16BE(flags | HEADERS, 0);
  const entryAt = insertAt - start + (hasHeaders ? 0 : 4);
  result.writeUInt32BE(tableBytes + ENTRY_BYTES, at - start);
  writeEntry(result, entryAt, deliveryCount);
  bytes.copy(result, entryAt + ENTRY_BYTES, insertAt, end);
  return result;
}

function writeEntry(bytes: Buffer, at: number, deliveryCount: number): void {
  bytes[at] = NAME.length;
  bytes.write(NAME, at + 1, 'latin1');
  bytes[at + 1 + NAME.length] = 0x6c; // 'l'
  bytes.writeBigInt64BE(BigInt(deliveryCount), at + 2 + NAME.length);
}
