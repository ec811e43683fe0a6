/**
 * Message properties stay raw bytes: the scan over them must see what decoding
 * sees. Method: random properties both ways, amqplib as an oracle, and tables of
 * malformed ones.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeProperties,
  encodeProperties,
  headersOf,
  NO_PROPERTIES,
  type Properties,
  removeHeader,
  rewriteProperties,
} from '../../proto/amqp091/properties.ts';
import { PropertyScan, scanProperties } from '../../proto/amqp091/property-scan.ts';

interface AmqplibDefinitions {
  readonly encodeProperties: (id: number, channel: number, size: number, fields: Record<string, unknown>) => Buffer;
}
const amqplib: AmqplibDefinitions = createRequire(import.meta.url)(`${process.cwd()}/node_modules/amqplib/lib/defs.js`);

const shortText = fc.string({ unit: 'grapheme', maxLength: 20 });
const maybe = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values, { nil: null });
const properties: fc.Arbitrary<Properties> = fc.record(
  {
    contentType: maybe(shortText),
    contentEncoding: maybe(shortText),
    headers: maybe(
      fc.array(
        fc.tuple(
          shortText,
          shortText.map((v) => ({ t: 'S', v }) as const),
        ),
        { maxLength: 3 },
      ),
    ),
    deliveryMode: maybe(fc.integer({ min: 0, max: 255 })),
    priority: maybe(fc.integer({ min: 0, max: 255 })),
    correlationId: maybe(shortText),
    replyTo: maybe(shortText),
    expiration: maybe(fc.nat().map(String)),
    messageId: maybe(shortText),
    timestamp: maybe(fc.maxSafeNat()),
    type: maybe(shortText),
    userId: maybe(shortText),
    appId: maybe(shortText),
    clusterId: maybe(shortText),
  },
  { noNullPrototype: true },
);

const scanOf = (bytes: Buffer, into = new PropertyScan()): PropertyScan => {
  scanProperties(bytes, 0, bytes.length, into);
  return into;
};
const textAt = (bytes: Buffer, start: number, end: number): string | null =>
  start < 0 ? null : bytes.toString('utf8', start, end);

test('all 14 properties come back from their bytes', () => {
  fc.assert(
    fc.property(properties, (values) => {
      const bytes = encodeProperties(values);
      assert.deepEqual(decodeProperties(bytes, 0, bytes.length), values);
    }),
  );
});

test('the scan sees what decoding sees, whatever it scanned before', () => {
  const scan = new PropertyScan(); // one object for all: nothing of the former message may be left
  fc.assert(
    fc.property(properties, fc.nat({ max: 9 }), (values, offset) => {
      const encoded = encodeProperties(values);
      const bytes = Buffer.concat([Buffer.alloc(offset, 0xff), encoded, Buffer.alloc(3, 0xff)]);
      scanProperties(bytes, offset, offset + encoded.length, scan);
      assert.deepEqual(
        {
          deliveryMode: scan.deliveryMode,
          priority: scan.priority,
          expirationMs: scan.expirationMs,
          problem: scan.expirationProblem,
          userId: textAt(bytes, scan.userIdStart, scan.userIdEnd),
          replyTo: textAt(bytes, scan.replyToStart, scan.replyToEnd),
          expiration: textAt(bytes, scan.expirationStart, scan.expirationEnd),
          hasHeaders: scan.headersStart >= 0,
        },
        {
          deliveryMode: values.deliveryMode ?? -1,
          priority: values.priority ?? -1,
          expirationMs: values.expiration === null ? -1 : Number(values.expiration),
          problem: null,
          userId: values.userId,
          replyTo: values.replyTo,
          expiration: values.expiration,
          hasHeaders: values.headers !== null,
        },
      );
    }),
  );
});

test('amqplib writes the same properties', () => {
  const headerFrame = amqplib.encodeProperties(60, 1, 5, {
    contentType: 'text/plain',
    headers: { key: 'value' },
    deliveryMode: 2,
    priority: 7,
    replyTo: 'answers',
    expiration: '60000',
    messageId: 'm1',
    timestamp: 1_700_000_000,
    userId: 'guest',
    appId: 'app',
  });
  const bytes = headerFrame.subarray(19, -1);
  const decoded = decodeProperties(bytes, 0, bytes.length);
  assert.deepEqual(decoded, {
    ...NO_PROPERTIES,
    contentType: 'text/plain',
    headers: [['key', { t: 'S', v: 'value' }]],
    deliveryMode: 2,
    priority: 7,
    replyTo: 'answers',
    expiration: '60000',
    messageId: 'm1',
    timestamp: 1_700_000_000,
    userId: 'guest',
    appId: 'app',
  });
  assert.equal(encodeProperties(decoded).toString('hex'), bytes.toString('hex'));
});

test('an expiration that RabbitMQ refuses is refused in its words', () => {
  const rows: readonly (readonly [string, number, string | null])[] = [
    ['5', 5, null],
    ['+5', 5, null],
    ['-0', 0, null],
    ['007', 7, null],
    ['315360000000', 315_360_000_000, null],
    ['315360000001', -1, '{value_too_large,315360000001}'],
    ['99999999999999', -1, '{value_too_large,99999999999999}'],
    ['9'.repeat(200), -1, `{value_too_large,${'9'.repeat(200)}}`],
    ['-5', -1, '{value_negative,-5}'],
    ['', -1, 'no_integer'],
    ['-', -1, 'no_integer'],
    ['abc', -1, 'no_integer'],
    [' 5', -1, 'no_integer'],
    ['5 ', -1, '{leftover_string," "}'],
    ['5a"', -1, '{leftover_string,"a\\""}'],
    ['5\u0001', -1, '{leftover_string,[1]}'],
  ];
  for (const [expiration, expirationMs, problem] of rows) {
    const scan = scanOf(encodeProperties({ expiration })); // behaviour 102
    assert.deepEqual([scan.expirationMs, scan.expirationProblem], [expirationMs, problem], expiration);
  }
});

test('malformed properties are refused by scan and decoding alike', () => {
  const rows: readonly (readonly [hex: string, message: RegExp])[] = [
    ['', /0 bytes, the flags alone take 2/],
    ['10', /1 bytes/],
    ['000100', /more flags/],
    ['000001', /1 bytes after the last value/],
    ['1000', /passes the end/],
    ['10000209', /1 bytes after/],
    ['8000', /passes the end/],
    ['80000501', /passes the end/],
    ['2000000000', /passes the end/],
    ['20000000000301615a', /tag 0x5a/],
    ['004000000000000000', /passes the end/],
  ];
  for (const [hex, message] of rows) {
    const bytes = Buffer.from(hex, 'hex');
    assert.throws(() => scanOf(bytes), { name: 'AmqpError', replyCode: 501, message }, hex);
    assert.throws(() => decodeProperties(bytes, 0, bytes.length), { name: 'AmqpError', replyCode: 501, message }, hex);
  }
});

test('the flag that means nothing is ignored', () => {
  assert.equal(scanOf(Buffer.from('1002' + '02', 'hex')).deliveryMode, 2);
});

test('one property is replaced or removed and the others stay byte for byte', () => {
  fc.assert(
    fc.property(properties, maybe(shortText), (values, replyTo) => {
      const bytes = encodeProperties(values);
      const rewritten = rewriteProperties(bytes, 0, bytes.length, { replyTo, expiration: null });
      const expected = encodeProperties({ ...values, replyTo, expiration: null });
      assert.equal(rewritten.toString('hex'), expected.toString('hex'));
    }),
  );
  const notUtf8 = Buffer.from('8000' + '01ff', 'hex');
  assert.equal(rewriteProperties(notUtf8, 0, 4, { priority: 3 }).toString('hex'), '880001ff03');
});

test('BCC goes and CC stays', () => {
  const headers = [
    ['CC', { t: 'A', v: [] }],
    ['BCC', { t: 'A', v: [] }],
    ['x', { t: 'V' }],
    ['BCC', { t: 'V' }],
  ] as const;
  const bytes = encodeProperties({ headers, deliveryMode: 2 });
  const scan = scanOf(bytes);
  assert.deepEqual([scan.hasCc, scan.hasBcc], [true, true]);
  const without = removeHeader(bytes, 0, bytes.length, 'BCC');
  assert.deepEqual(
    headersOf(without, 0, without.length)?.map(([name]) => name),
    ['CC', 'x'],
  );
  const after = scanOf(without, scan);
  assert.deepEqual([after.hasCc, after.hasBcc, after.deliveryMode], [true, false, 2]);
});
