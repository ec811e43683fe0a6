/**
 * Checks one table file: size, footer, index block, and those data blocks for
 * which a flipped byte could go unnoticed later. Records and body parts are
 * checked by their readers (checksum over key and value, links between
 * records), so only blocks that may hold other keys are read here.
 *
 *   table   data blocks ... [metaindex block][index block][footer 48 bytes]
 *   block   [bytes][compression u8][masked crc u32]
 *
 * Source: LevelDB doc/table_format.md, table/format.cc.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { VarintReader } from '../varint.ts';
import { isMaskedCrc } from './crc32c.ts';

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
/** Sequence number and type behind every key inside of a table. */
const KEY_TAG_BYTES = 8;

interface BlockHandle {
  readonly offset: number;
  readonly bytes: number;
}

/**
 * @param isChecked whether a block with keys above `after` (exclusive, null for the first block) and up to `last` has to
 *   be read
 * @returns what is wrong, or null
 */
export async function checkTable(
  path: string,
  expectedBytes: number,
  isChecked: (after: Buffer | null, last: Buffer) => boolean,
): Promise<string | null> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    return `table ${path} can not be opened: ${String(error)}`; // fault: most likely missing
  }
  try {
    return await checkOpenTable(file, path, expectedBytes, isChecked);
  } catch (error) {
    if (error instanceof RangeError) return `table ${path} is damaged: ${error.message}`;
    throw error;
  } finally {
    await file.close();
  }
}

async function checkOpenTable(
  file: FileHandle,
  path: string,
  expectedBytes: number,
  isChecked: (after: Buffer | null, last: Buffer) => boolean,
): Promise<string | null> {
  const { size } = await file.stat();
  if (size !== expectedBytes) return `table ${path} has ${size} bytes, ${expectedBytes} were written`;
  const footer = await readAt(file, size - FOOTER_BYTES, FOOTER_BYTES);
  if (!footer.subarray(40).equals(MAGIC)) return `table ${path} is damaged: its last bytes are not a table's`;
  const reader = new VarintReader(footer, 0);
  const metaIndex = readHandle(reader);
  const index = readHandle(reader);
  for (let at = reader.offset; at < 40; at++) {
    if (footer[at] !== 0) return `table ${path} is damaged: byte ${size - FOOTER_BYTES + at} of its footer`;
  }
  if ((await readBlock(file, size, metaIndex)) === null) return `table ${path} is damaged: its metaindex block`;
  const indexBlock = await readBlock(file, size, index);
  if (indexBlock === null) return `table ${path} is damaged: its index block`;
  let after: Buffer | null = null;
  for (const { last, handle } of readIndex(indexBlock)) {
    if (isChecked(after, last) && (await readBlock(file, size, handle)) === null) {
      return `table ${path} is damaged: the block of ${handle.bytes} bytes at ${handle.offset}`;
    }
    after = last;
  }
  return null;
}

/** Null when its checksum is wrong. */
async function readBlock(file: FileHandle, size: number, handle: BlockHandle): Promise<Buffer | null> {
  if (handle.offset + handle.bytes + TRAILER_BYTES > size) return null;
  const bytes = await readAt(file, handle.offset, handle.bytes + TRAILER_BYTES);
  const isRight = isMaskedCrc(bytes.readUInt32LE(handle.bytes + 1), bytes, 0, handle.bytes + 1);
  return isRight ? bytes.subarray(0, handle.bytes) : null;
}

async function readAt(file: FileHandle, offset: number, bytes: number): Promise<Buffer> {
  if (offset < 0) throw new RangeError(`shorter than ${bytes} bytes`);
  const buffer = Buffer.allocUnsafe(bytes);
  const { bytesRead } = await file.read(buffer, 0, bytes, offset);
  if (bytesRead !== bytes) throw new RangeError(`ends ${bytes - bytesRead} bytes too early`);
  return buffer;
}

function readHandle(reader: VarintReader): BlockHandle {
  return { offset: reader.number(), bytes: reader.number() };
}

/** Entries of an index block: the last key of each data block (or one between it and the next), and where it lies. */
function* readIndex(block: Buffer): Generator<{ last: Buffer; handle: BlockHandle }> {
  const end = block.length - 4 - 4 * block.readUInt32LE(block.length - 4);
  let key = Buffer.alloc(0);
  const reader = new VarintReader(block, 0);
  while (reader.offset < end) {
    const shared = reader.number();
    const unshared = reader.number();
    reader.number(); // bytes of the value
    const suffix = block.subarray(reader.offset, reader.offset + unshared);
    reader.skip(unshared);
    key = Buffer.concat([key.subarray(0, shared), suffix]);
    yield { last: key.subarray(0, Math.max(0, key.length - KEY_TAG_BYTES)), handle: readHandle(reader) };
  }
}
