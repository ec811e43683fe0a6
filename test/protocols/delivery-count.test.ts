/**
 * Goal: x-delivery-count is added to any properties, and nothing else of them changes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withDeliveryCount } from '../../node/protocols/amqp091/delivery-count.ts';
import { decodeProperties, encodeProperties } from '../../proto/amqp091/properties.ts';

test('the header is appended whatever other properties there are', () => {
  const others = { contentType: 'text/plain', contentEncoding: 'gzip', priority: 3, messageId: 'm' } as const;
  const cases = [{}, others, { headers: [] }, { ...others, headers: [['a', { t: 'I', v: 1 }]] }] as const;
  for (const properties of cases) {
    const raw = encodeProperties(properties);
    const padded = Buffer.concat([Buffer.from('xx'), raw, Buffer.from('yy')]);
    const counted = withDeliveryCount(padded, 2, 2 + raw.length, 7);
    const headers = 'headers' in properties ? properties.headers : [];
    const expected = { ...properties, headers: [...headers, ['x-delivery-count', { t: 'l', v: 7 }] as const] };
    assert.deepEqual(counted, encodeProperties(expected));
    assert.deepEqual(decodeProperties(counted, 0, counted.length).headers, expected.headers);
    assert.deepEqual(padded.subarray(2, 2 + raw.length), raw, 'the message itself is shared and unchanged');
  }
});
