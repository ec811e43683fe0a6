/** LevelDB's own files as we read them: logs of whole and torn records, manifests, batches. */
import assert from 'node:assert/strict';
import { DISK_ID_KEY } from '../../../storage/disk-id.ts';
import { crc32c } from '../../../storage/level-files/crc32c.ts';
import { isLogOfOnly } from '../../../storage/level-files/log-keys.ts';
import { scanLog } from '../../../storage/level-files/log-scan.ts';
import { readManifest } from '../../../storage/level-files/manifest.ts';
import { VarintWriter } from '../../../storage/varint.ts';
import type { Material } from '../core/mutate.ts';
import { REFUSED, refusedOr, type Target } from '../core/target.ts';

const FRAGMENT_HEADER_BYTES = 7;
const FRAGMENT_BYTES_MAX = 32 * 1024 - FRAGMENT_HEADER_BYTES;

function fragment(type: number, bytes: Buffer): Buffer {
  const result = Buffer.alloc(FRAGMENT_HEADER_BYTES + bytes.length);
  result.writeUInt16LE(bytes.length, 4);
  result[6] = type;
  bytes.copy(result, FRAGMENT_HEADER_BYTES);
  const crc = crc32c(result, 6, result.length);
  result.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0, 0);
  return result;
}

function varints(...numbers: readonly number[]): Buffer {
  const writer = new VarintWriter();
  for (const number of numbers) writer.number(number);
  const bytes = Buffer.alloc(writer.length);
  writer.copyTo(bytes, 0);
  return bytes;
}

function withLength(bytes: Buffer): Buffer {
  return Buffer.concat([varints(bytes.length), bytes]);
}

const KEY = withLength(Buffer.from('m0000000012345678'));
const EDIT = Buffer.concat([
  varints(1),
  withLength(Buffer.from('leveldb.BytewiseComparator')),
  varints(2, 12, 9, 0, 3, 14, 4, 99, 5, 1),
  KEY,
  varints(6, 0, 7),
  varints(7, 1, 9, 4096),
  KEY,
  KEY,
]);

function batch(key: Buffer, value: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32LE(1, 8);
  return Buffer.concat([head, varints(1), withLength(key), withLength(value)]);
}

function check(file: Buffer): number {
  // The other files read the same bytes as one record, whose checksum was right.
  const records = [{ bytes: file, isWhole: true, at: 0, end: file.length }];
  const manifest = refusedOr(
    () => readManifest(records),
    (error) => error instanceof RangeError,
  );
  if (manifest !== null) assert.ok(manifest.tables.size <= file.length, 'a table takes bytes to name');
  isLogOfOnly(fragment(1, file.subarray(0, FRAGMENT_BYTES_MAX)), DISK_ID_KEY);
  const scan = scanLog(file, file.length % 3 === 0 ? 16 : Infinity);
  let kept = 0;
  for (const { bytes, at } of scan.records) {
    kept += bytes.length;
    assert.ok(at >= 0 && at <= file.length, 'a record lies in the file');
  }
  let before = 0;
  for (const { start, end } of scan.bad) {
    assert.ok(start >= before && end >= start && end <= file.length, 'damage lies in the file, in order');
    before = end;
  }
  const isClean = scan.records.length > 0 && scan.bad.length === 0;
  return isClean || (scan.records.length === 0 && manifest !== null) ? kept : REFUSED;
}

/** Over the edge of a block: looking for what is whole behind damage costs much more here. */
const BLOCKS: Material = {
  corpus: [
    Buffer.concat([
      fragment(1, Buffer.alloc(32_700, 3)),
      fragment(2, Buffer.alloc(40, 1)),
      Buffer.alloc(14),
      fragment(4, EDIT),
    ]),
    Buffer.concat([fragment(2, Buffer.alloc(32_761, 7)), fragment(3, Buffer.alloc(32_761)), fragment(4, EDIT)]),
  ],
  dictionary: [Buffer.from('0140', 'hex'), Buffer.from('ff7f01', 'hex'), Buffer.alloc(7)],
  bytesMax: 70_000,
};

export const levelBlocks: Target = {
  ...BLOCKS,
  name: 'level-blocks',
  claim: 'a log of several blocks is scanned to its end, whatever stands at their edges',
  casesInTests: 250,
  generate: null,
  growth: { factor: 1, constant: 0 },
  check,
};

export const levelFiles: Target = {
  name: 'level-files',
  claim: 'a log is scanned to its end whatever is in it, and a manifest is read or refused with a RangeError',
  casesInTests: 50_000,
  corpus: [
    EDIT,
    batch(DISK_ID_KEY, Buffer.from('x')),
    fragment(1, EDIT),
    Buffer.concat([fragment(1, batch(DISK_ID_KEY, Buffer.alloc(37))), fragment(1, Buffer.alloc(20, 1))]),
    Buffer.concat([
      fragment(2, Buffer.from('first')),
      fragment(3, Buffer.from('middle')),
      fragment(4, Buffer.from('last')),
    ]),
  ],
  dictionary: [varints(7, 1, 2 ** 40), fragment(1, Buffer.alloc(0)), fragment(4, Buffer.from('end')), Buffer.alloc(7)],
  bytesMax: 2000,
  generate: null,
  growth: { factor: 1, constant: 0 },
  check,
};
