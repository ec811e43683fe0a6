/**
 * Names, field values, tables and properties for scripts: mostly what programs
 * send, sometimes what they should not.
 */
import fc, { type Arbitrary } from 'fast-check';
import type { PropertyInputs } from '../support/raw-client/method-codec.ts';
import { type TableInput, type TableObject, typed } from '../support/raw-client/table.ts';
import { SHORT_TTL_MS } from './script.ts';

export const QUEUE_NAMES = ['q1', 'q2', 'q3'];
export const EXCHANGE_NAMES = ['x1', 'x2', 'x3'];
const PREDECLARED = ['amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers', 'amq.match'];
export const CONSUMER_TAGS = ['c1', 'c2', 'c3'];
const WORDS = ['a', 'b', '', '*', '#', 'a'];

/** Each row: how often, and what. */
export function weighted<T>(...rows: readonly (readonly [number, Arbitrary<T>])[]): Arbitrary<T> {
  return fc.oneof(...rows.map(([weight, arbitrary]) => ({ weight, arbitrary })));
}

/** True in one of `oneIn`. */
export function rarely(oneIn: number): Arbitrary<boolean> {
  return fc.nat(oneIn - 1).map((value) => value === oneIn - 1);
}

export const queueName = weighted(
  [25, fc.constantFrom('q1', 'q1', 'q1', 'q2', 'q2', 'q3')],
  [2, fc.constant('')],
  [1, fc.constantFrom('q4', 'amq.q', 'amq.rabbitmq.reply-to')],
);

export const exchangeName = weighted(
  [20, fc.constantFrom(...EXCHANGE_NAMES)],
  [5, fc.constantFrom(...PREDECLARED)],
  [2, fc.constant('')],
  [1, fc.constantFrom('x4', 'amq.x', 'amq.rabbitmq.trace')],
);

export const routingKey = weighted(
  [6, fc.constantFrom(...QUEUE_NAMES)],
  [4, fc.constantFrom('', 'a', 'b')],
  [6, fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 4 }).map((words) => words.join('.'))],
);

/** Any field type with some value of it. */
const scalarField: Arbitrary<TableInput> = fc.oneof(
  fc.constantFrom('', 'abc', 'x', '5', 'ä€').map((value) => typed('S', value)),
  fc.boolean().map((value) => typed('t', value)),
  fc.constantFrom(...'bsIl').chain((tag) => fc.constantFrom(0, 1, 5, 100, -1).map((value) => typed(tag, value))),
  fc.constantFrom(...'Bui').chain((tag) => fc.constantFrom(0, 1, 5, 100).map((value) => typed(tag, value))),
  fc.constantFrom(0, 1.5, -1, 5).map((value) => typed('d', value)),
  fc.constantFrom(0, 1.5, 5).map((value) => typed('f', value)),
  fc.constantFrom(1_000_000_000, 0).map((value) => typed('T', value)),
  fc.constant(typed('V', null)),
  fc.constantFrom('', 'abc').map((value) => typed('x', Buffer.from(value))),
  fc.constant(typed('D', Buffer.from([2, 0, 0, 0, 150]))),
);

export const anyField: Arbitrary<TableInput> = weighted(
  [10, scalarField],
  [1, fc.array(scalarField, { maxLength: 2 }).map((items) => typed('A', items))],
  [
    1,
    fc
      .dictionary(fc.constantFrom('a', 'b'), scalarField, { maxKeys: 2, noNullPrototype: true })
      .map((table) => typed('F', table)),
  ],
);

const HEADER_KEYS = ['a', 'b', 'x-a', 'x-match'];

/** Headers of messages, and of bindings to headers exchanges: few values, so that they meet. */
export const smallTable: Arbitrary<TableObject> = fc.dictionary(
  fc.constantFrom(...HEADER_KEYS.slice(0, 3)),
  weighted<TableInput>(
    [8, fc.constantFrom<TableInput>(1, '1', 'x', true, null, typed('l', 1), typed('b', 1), typed('d', 1))],
    [3, anyField],
  ),
  { maxKeys: 3, noNullPrototype: true },
);

export const bindingArguments: Arbitrary<TableObject> = weighted<TableObject>(
  [4, fc.constant({})],
  [
    5,
    fc
      .tuple(smallTable, fc.constantFrom('all', 'any', 'all-with-x', 'any-with-x'))
      .map(([table, match]) => ({ ...table, 'x-match': match })),
  ],
  [2, smallTable],
  [1, fc.tuple(smallTable, anyField).map(([table, match]) => ({ ...table, 'x-match': match }))],
);

const copyKeys: Arbitrary<TableInput> = weighted<TableInput>(
  [8, fc.array(routingKey, { maxLength: 3 })],
  [1, fc.array(anyField, { maxLength: 2 }).map((items) => typed('A', items))],
  [1, anyField],
);

const headers: Arbitrary<TableObject> = fc
  .record({ CC: copyKeys, BCC: copyKeys, plain: smallTable, any: anyField }, { requiredKeys: ['plain'] })
  .map(({ plain, ...others }) => ({ ...plain, ...others }));

const expiration = weighted(
  [6, fc.constantFrom('0', '60000', String(SHORT_TTL_MS))],
  [1, fc.constantFrom('', 'abc', '-1', '1.5', ' 5', '05', '99999999999999', '4294967296', '1e3')],
);

/** A few properties, most often none. */
export const properties: Arbitrary<PropertyInputs> = weighted<PropertyInputs>(
  [4, fc.constant({})],
  [4, fc.record({ deliveryMode: fc.constantFrom(1, 2), priority: fc.nat(6) }, { requiredKeys: [] })],
  [3, fc.record({ headers, deliveryMode: fc.constantFrom(0, 1, 2, 3) }, { requiredKeys: ['headers'] })],
  [
    3,
    fc.record(
      { expiration, priority: fc.constantFrom(0, 3, 255), headers: smallTable },
      { requiredKeys: ['expiration'] },
    ),
  ],
  [
    1,
    fc.record(
      {
        contentType: fc.constantFrom('', 'text/plain'),
        contentEncoding: fc.constantFrom('gzip'),
        headers: smallTable,
        correlationId: fc.constantFrom('', '7'),
        replyTo: fc.constantFrom('q1', 'amq.rabbitmq.reply-to', 'amq.rabbitmq.reply-to.abc', ''),
        messageId: fc.constantFrom('m'),
        timestamp: fc.constantFrom(0, 1_000_000_000),
        type: fc.constantFrom('t'),
        userId: fc.constantFrom('guest', 'guest', 'other', ''),
        appId: fc.constantFrom('app'),
        clusterId: fc.constantFrom('cluster'),
      },
      { requiredKeys: [] },
    ),
  ],
);
