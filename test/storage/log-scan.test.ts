/**
 * Goal: what is whole behind damage is found, and looking for it takes no longer
 * when every byte pretends to begin a long record. Method: checksums of
 * stretches against those computed directly; a file made for the worst case,
 * against processor time.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32c, isMaskedCrc, StretchChecksums } from '../../storage/level-files/crc32c.ts';
import { scanLog } from '../../storage/level-files/log-scan.ts';

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const FULL = 1;

function masked(bytes: Buffer, start: number, end: number): number {
  const crc = crc32c(bytes, start, end);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function fragment(bytes: Buffer): Buffer {
  const result = Buffer.alloc(HEADER_BYTES + bytes.length);
  result.writeUInt16LE(bytes.length, 4);
  result[6] = FULL;
  bytes.copy(result, HEADER_BYTES);
  result.writeUInt32LE(masked(result, 6, result.length), 0);
  return result;
}

test('the checksum of a stretch is that of its bytes', () => {
  const stretches = fc
    .uint8Array({ minLength: 1, maxLength: 300 })
    .chain((bytes) =>
      fc.tuple(fc.constant(Buffer.from(bytes)), fc.nat(bytes.length), fc.nat(bytes.length), fc.nat(255)),
    );
  fc.assert(
    fc.property(stretches, ([bytes, one, other, from]) => {
      const [start, end] = [Math.min(one, other), Math.max(one, other)];
      const checksums = new StretchChecksums(bytes, Math.min(from, start), bytes.length);
      const right = masked(bytes, start, end);
      assert.equal(isMaskedCrc(right, bytes, start, end), true);
      assert.equal(checksums.isMasked(right, start, end), true);
      assert.equal(checksums.isMasked(right ^ 1, start, end), false);
    }),
  );
});

test('what is whole behind damage is found, wherever in the block it begins', () => {
  for (const damagedBytes of [1, 6, 7, 8, 1000, 30_000]) {
    const record = Buffer.from('still here');
    const file = Buffer.concat([Buffer.alloc(damagedBytes, 1), fragment(record)]);
    const { records, bad } = scanLog(file, Infinity);
    assert.deepEqual(
      records.map(({ bytes, isWhole, at, end }) => ({ text: bytes.toString(), isWhole, at, end })),
      [{ text: 'still here', isWhole: true, at: damagedBytes, end: file.length }],
    );
    assert.deepEqual(bad, [{ start: 0, end: damagedBytes }]);
  }
});

test('damage that looks like the beginning of a long record at every second byte costs no more than other damage', () => {
  const blocks = 128;
  const secondsMax = 5; // 0.6 to 1.1 when this was written, 12 with a checksum computed for each place
  const file = Buffer.alloc(blocks * BLOCK_BYTES, Buffer.from('0130', 'hex'));
  const before = process.cpuUsage();
  const { records, bad } = scanLog(file, Infinity);
  const { user, system } = process.cpuUsage(before);
  assert.deepEqual([records.length, bad.length], [0, blocks]);
  assert.ok((user + system) / 1e6 < secondsMax, `${(user + system) / 1e6} s of processor time`);
});
