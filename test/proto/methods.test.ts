/**
 * The generated codec against its table, and against amqplib's as an oracle.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { AmqpError } from '../../proto/amqp091/errors.ts';
import { decodeMethod, encodeMethod } from '../../proto/amqp091/method-codec.ts';
import { generateMethodSource } from '../../proto/amqp091/method-source.ts';
import { METHOD_TABLE, type MethodRow } from '../../proto/amqp091/method-table.ts';
import { type Method, type MethodName, methodIdsByName } from '../../proto/amqp091/methods.generated.ts';

interface AmqplibDefinitions {
  readonly info: (id: number) => { readonly name: string } | undefined;
  readonly decode: (id: number, bytes: Buffer) => Record<string, unknown>;
  readonly encodeMethod: (id: number, channel: number, fields: Record<string, unknown>) => Buffer;
}
const amqplib: AmqplibDefinitions = createRequire(import.meta.url)(`${process.cwd()}/node_modules/amqplib/lib/defs.js`);

const camel = (word: string): string => word.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** A method with a different value in each field. */
function sample(row: MethodRow, isOdd: boolean): Method {
  const fields: Record<string, unknown> = { name: row.name };
  for (const [place, { word, kind }] of row.fields.entries()) {
    if (word === null) continue;
    const values = {
      bit: (place % 2 === 0) === isOdd,
      octet: 200 + place,
      short: 60_000 + place,
      long: 4_000_000_000 + place,
      longlong: 2 ** 40 + place,
      shortstr: isOdd ? `word ${place} \u00e9\u{1f407}` : '',
      longstr: Buffer.from([0, 255, place]),
      text: `PLAIN AMQPLAIN ${place}`,
      table: isOdd ? [['x-name', { t: 'S', v: `value ${place}` }]] : [],
    };
    fields[camel(word)] = values[kind];
  }
  return fields as unknown as Method; // built from the same table that the type was generated from
}

const rowOf = (name: string): MethodRow => METHOD_TABLE.find((row) => row.name === name)!;

test('the committed methods are those of the table', () => {
  const committed = readFileSync('proto/amqp091/methods.generated.ts', 'utf8');
  assert.equal(committed, generateMethodSource(METHOD_TABLE), 'run: node dist/proto/amqp091/generate.js');
});

test('every method comes back from its bytes as it went in', () => {
  assert.equal(METHOD_TABLE.length, 66);
  for (const row of METHOD_TABLE) {
    for (const isOdd of [true, false]) {
      const method = sample(row, isOdd);
      const payload = encodeMethod(method);
      assert.deepEqual([payload.readUInt16BE(0), payload.readUInt16BE(2)], [row.classId, row.methodId]);
      assert.deepEqual(decodeMethod(row.classId, row.methodId, payload, 4, payload.length), method, row.name);
    }
    const name: MethodName = sample(row, true).name;
    assert.equal(methodIdsByName.get(name), row.classId * 65_536 + row.methodId);
  }
});

test('amqplib reads what we write and we read what it writes', () => {
  let compared = 0;
  for (const row of METHOD_TABLE) {
    const id = row.classId * 65_536 + row.methodId;
    if (row.name === 'exchange.unbind-ok' || amqplib.info(id) === undefined) continue;
    const method = sample(row, true);
    const payload = encodeMethod(method);
    const decoded = amqplib.decode(id, payload.subarray(4));
    for (const { word, kind } of row.fields) {
      if (word === null || kind === 'table') continue;
      const ours = (method as unknown as Record<string, unknown>)[camel(word)];
      const theirs = decoded[camel(word)] ?? decoded[camel(word).toLowerCase()]; // its table says `nowait` here and there
      const shown = Buffer.isBuffer(theirs) && typeof ours === 'string' ? theirs.toString() : theirs;
      assert.deepEqual(shown, ours, `${row.name} ${word}`);
    }
    const frame = amqplib.encodeMethod(id, 1, decoded);
    const back = decodeMethod(row.classId, row.methodId, frame, 11, frame.length - 1);
    assert.deepEqual(back, method, row.name);
    compared++;
  }
  assert.ok(compared >= 60, `${compared} methods compared`);
});

test('arguments that end early or late are refused with their bytes and the ids of the method', () => {
  const declare = rowOf('queue.declare');
  const payload = encodeMethod(sample(declare, true)).subarray(4);
  for (let length = 0; length < payload.length; length++) {
    assert.throws(() => decodeMethod(50, 10, payload, 0, length), {
      name: 'AmqpError',
      replyCode: 501,
      scope: 'connection',
      classId: 50,
      methodId: 10,
    });
  }
  const rows: readonly (readonly [number, number, number[], string])[] = [
    [50, 10, [5, 97], 'FRAME_ERROR - cannot decode <<5,97>>'], // behaviour 43
    [50, 10, [97, 98, 99], 'FRAME_ERROR - cannot decode <<97,98,99>>'],
    [20, 20, [], 'FRAME_ERROR - cannot decode <<>>'],
    [90, 10, [255], 'FRAME_ERROR - cannot decode <<255>>'],
    [50, 10, [0, 0, 1, 97, 0, 0, 0, 0, 0, 9], 'FRAME_ERROR - cannot decode <<0,0,1,97,0,0,0,0,0,9>>'],
    [
      50,
      10,
      [0, 0, 1, 97, 0, 0, 0, 0, 3, 1, 97, 90],
      'FRAME_ERROR - malformed field table: no field type has the tag 0x5a',
    ],
  ];
  for (const [classId, methodId, bytes, replyText] of rows) {
    assert.throws(() => decodeMethod(classId, methodId, Buffer.from(bytes), 0, bytes.length), {
      replyText,
      classId,
      methodId,
    });
  }
});

test('a long refusal is cut to the 255 bytes of a short string', () => {
  assert.throws(
    () => decodeMethod(90, 10, Buffer.alloc(1000, 200), 0, 1000),
    (error) => {
      assert.ok(error instanceof AmqpError);
      assert.equal(Buffer.byteLength(error.replyText), 255);
      return true;
    },
  );
});

test('a short string that is not UTF-8 is refused, and no method is blamed', () => {
  const bytes = Buffer.from([0, 0, 1, 255, 0, 0, 0, 0, 0]);
  assert.throws(() => decodeMethod(50, 10, bytes, 0, bytes.length), {
    replyText: 'FRAME_ERROR - Malformed UTF-8 in shortstr', // behaviour 44
    classId: 0,
    methodId: 0,
  });
});

test('an unknown method is null: the socket is dropped without a word', () => {
  for (const [classId, methodId] of [
    [60, 999],
    [61, 10],
    [0, 0],
  ] as const) {
    assert.equal(decodeMethod(classId, methodId, Buffer.alloc(0), 0, 0), null); // behaviour 31
  }
});

test('unused bits are ignored, and a delivery tag beyond 2^53 is larger than any that was given', () => {
  assert.deepEqual(decodeMethod(85, 10, Buffer.from([255]), 0, 1), { name: 'confirm.select', noWait: true });
  const ack = decodeMethod(60, 80, Buffer.from('ffffffffffffffff00', 'hex'), 0, 9);
  assert.ok(ack?.name === 'basic.ack' && ack.deliveryTag >= 2 ** 53);
});

test('values that do not fit their field are not written', () => {
  const long = 'x'.repeat(256);
  assert.throws(() => encodeMethod({ name: 'basic.cancel-ok', consumerTag: long }), RangeError);
  assert.throws(() => encodeMethod({ name: 'basic.ack', deliveryTag: 2 ** 53, multiple: false }), RangeError);
  assert.throws(() => encodeMethod({ name: 'queue.purge-ok', messageCount: -1 }), RangeError);
});
