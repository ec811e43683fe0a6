/**
 * Random steps: every method with arguments as programs send them and as they
 * should not. Scripts are made of them in generate.ts and flows.ts.
 */
import fc, { type Arbitrary } from 'fast-check';
import { exchangeArguments, goodClassicArguments, goodQuorumArguments, oddArguments } from './arguments.ts';
import { MALFORMED_NAMES } from './malformed.ts';
import type { Place, Step } from './script.ts';
import {
  anyField,
  bindingArguments,
  CONSUMER_TAGS,
  EXCHANGE_NAMES,
  exchangeName,
  properties,
  QUEUE_NAMES,
  queueName,
  rarely,
  routingKey,
  weighted,
} from './values.ts';

export const place: Arbitrary<Place> = weighted<Place>(
  [6, fc.constant({ connection: 0, channel: 1 })],
  [2, fc.constant({ connection: 0, channel: 2 })],
  [3, fc.constant({ connection: 1, channel: 1 })],
);

const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers'];

export type Fields = Extract<Step, { kind: 'method' }>['fields'];

export function method(name: string, fields: Arbitrary<Fields>): Arbitrary<Step> {
  return fc.record({ kind: fc.constant('method' as const), at: place, name: fc.constant(name), fields });
}

export function fieldsOf(shape: Readonly<Record<string, Arbitrary<Fields[string]>>>): Arbitrary<Fields> {
  return fc.record(shape);
}

const fewTrue = rarely(6);

export const goodQueue = method(
  'queue.declare',
  fieldsOf({
    queue: fc.constantFrom(...QUEUE_NAMES),
    durable: rarely(3),
    exclusive: rarely(8),
    autoDelete: rarely(8),
    arguments: goodClassicArguments,
  }),
);

export const quorumQueue = method(
  'queue.declare',
  fieldsOf({ queue: fc.constantFrom(...QUEUE_NAMES), durable: fc.constant(true), arguments: goodQuorumArguments }),
);

const oddQueue = method(
  'queue.declare',
  fieldsOf({
    queue: queueName,
    passive: rarely(5),
    durable: fc.boolean(),
    exclusive: fewTrue,
    autoDelete: fewTrue,
    nowait: fewTrue,
    arguments: weighted([2, oddArguments], [1, goodClassicArguments]),
  }),
);

export const goodExchange = method(
  'exchange.declare',
  fieldsOf({
    exchange: fc.constantFrom(...EXCHANGE_NAMES),
    type: fc.constantFrom(...EXCHANGE_TYPES),
    durable: rarely(3),
    autoDelete: rarely(8),
    internal: rarely(10),
    arguments: exchangeArguments,
  }),
);

const oddExchange = method(
  'exchange.declare',
  fieldsOf({
    exchange: exchangeName,
    type: weighted([10, fc.constantFrom(...EXCHANGE_TYPES)], [1, fc.constantFrom('', 'nope', 'Direct')]),
    passive: rarely(5),
    durable: fc.boolean(),
    autoDelete: fewTrue,
    internal: fewTrue,
    nowait: fewTrue,
    arguments: exchangeArguments,
  }),
);

const bindFields = {
  queue: queueName,
  exchange: exchangeName,
  routingKey,
  nowait: rarely(10),
  arguments: bindingArguments,
};
export const bindQueue = method('queue.bind', fieldsOf(bindFields));
const { nowait: _noWait, ...unbindFields } = bindFields;
const unbindQueue = method('queue.unbind', fieldsOf(unbindFields));

export const exchangeBindFields = fieldsOf({
  destination: exchangeName,
  source: exchangeName,
  routingKey,
  nowait: rarely(10),
  arguments: bindingArguments,
});

const publish: Arbitrary<Step> = fc.record({
  kind: fc.constant('publish' as const),
  at: place,
  exchange: weighted([4, fc.constant('')], [4, fc.constantFrom(...EXCHANGE_NAMES)], [2, exchangeName]),
  routingKey,
  mandatory: rarely(4),
  immediate: rarely(60),
  properties,
  bodyBytes: fc.constantFrom(0, 2, 3, 10),
  times: weighted([6, fc.constant(1)], [2, fc.constantFrom(2, 4)]),
});

/** To a queue that is probably there. */
const publishToQueue: Arbitrary<Step> = fc.record({
  kind: fc.constant('publish' as const),
  at: place,
  exchange: fc.constant(''),
  routingKey: fc.constantFrom('q1', 'q1', 'q2', 'q3'),
  mandatory: rarely(6),
  immediate: fc.constant(false),
  properties,
  bodyBytes: fc.constantFrom(2, 3, 10),
  times: weighted([4, fc.constant(1)], [3, fc.constantFrom(2, 3, 5)]),
});

const settle: Arbitrary<Step> = fc.record({
  kind: fc.constant('settle' as const),
  at: place,
  method: fc.constantFrom('basic.ack' as const, 'basic.nack' as const, 'basic.reject' as const),
  pick: weighted<number | null>([30, fc.nat(5)], [1, fc.constant(null)]),
  multiple: rarely(4),
  requeue: fc.boolean(),
});

const consume = method(
  'basic.consume',
  fieldsOf({
    queue: queueName,
    consumerTag: weighted([10, fc.constantFrom(...CONSUMER_TAGS)], [1, fc.constant('')]),
    noLocal: fewTrue,
    noAck: rarely(4),
    exclusive: rarely(8),
    nowait: rarely(12),
    arguments: weighted<Fields[string]>(
      [8, fc.constant({})],
      [2, fc.constantFrom(1, -1, 5).map((value) => ({ 'x-priority': value }))],
      [1, anyField.map((value) => ({ 'x-priority': value }))],
      [1, fc.boolean().map((value) => ({ 'x-cancel-on-ha-failover': value }))],
    ),
  }),
);

const get = method('basic.get', fieldsOf({ queue: queueName, noAck: rarely(4) }));

export const messageStep = weighted<Step>(
  [12, publishToQueue],
  [6, publish],
  [8, consume],
  [6, get],
  [12, settle],
  [3, method('basic.cancel', fieldsOf({ consumerTag: fc.constantFrom(...CONSUMER_TAGS), nowait: rarely(10) }))],
  [4, method('basic.qos', fieldsOf({ prefetchCount: fc.constantFrom(0, 1, 2, 3), global: rarely(3) }))],
  [1, method('basic.qos', fieldsOf({ prefetchCount: fc.constant(1), prefetchSize: fc.constantFrom(0, 100) }))],
  [2, method('basic.recover', fieldsOf({ requeue: rarely(6).map((value) => !value) }))],
  [1, method('basic.recover-async', fieldsOf({ requeue: rarely(6).map((value) => !value) }))],
  [2, method('confirm.select', fieldsOf({ nowait: rarely(10) }))],
  [2, method('tx.select', fieldsOf({}))],
  [3, method('tx.commit', fieldsOf({}))],
  [2, method('tx.rollback', fieldsOf({}))],
  [2, method('queue.purge', fieldsOf({ queue: queueName, nowait: rarely(10) }))],
  [
    2,
    method('queue.delete', fieldsOf({ queue: queueName, ifUnused: rarely(4), ifEmpty: rarely(4), nowait: rarely(10) })),
  ],
  [1, method('channel.close', fieldsOf({ replyCode: fc.constant(200) }))],
  [1, fc.record({ kind: fc.constantFrom('drop' as const, 'goodbye' as const), connection: fc.nat(1) })],
);

export const topologyStep = weighted<Step>(
  [8, oddQueue],
  [5, oddExchange],
  [5, bindQueue],
  [3, unbindQueue],
  [3, method('exchange.bind', exchangeBindFields)],
  [2, method('exchange.unbind', exchangeBindFields)],
  [2, method('exchange.delete', fieldsOf({ exchange: exchangeName, ifUnused: rarely(3), nowait: rarely(10) }))],
  [
    3,
    method('queue.delete', fieldsOf({ queue: queueName, ifUnused: rarely(3), ifEmpty: rarely(3), nowait: rarely(10) })),
  ],
  [4, publish],
  [1, consume],
);

export const malformed: Arbitrary<Step> = fc.record({
  kind: fc.constant('malformed' as const),
  at: place,
  name: fc.constantFrom(...MALFORMED_NAMES),
});
