/** Numbers in few bytes: what is read is what was written, and one that is no exact number is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VarintReader, VarintWriter } from '../../storage/varint.ts';

function written(number: number): Buffer {
  const writer = new VarintWriter();
  writer.number(number);
  const bytes = Buffer.alloc(writer.length);
  writer.copyTo(bytes, 0);
  return bytes;
}

test('numbers up to 2^53 - 1 come back, larger ones and cut ones are refused', () => {
  for (const number of [0, 1, 127, 128, 16_383, 16_384, 2 ** 32, 2 ** 49, Number.MAX_SAFE_INTEGER]) {
    const bytes = written(number);
    assert.equal(new VarintReader(bytes, 0).number(), number);
    assert.throws(() => new VarintReader(bytes.subarray(0, -1), 0).number(), RangeError);
  }
  for (const hex of ['8080808080808010', 'ffffffffffffff7f', 'ffffffffffffffff01', '80808080808080808000']) {
    assert.throws(() => new VarintReader(Buffer.from(hex, 'hex'), 0).number(), RangeError, hex);
  }
});
