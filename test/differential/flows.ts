/**
 * Scripts in which messages really flow: queues that are there, with time to
 * live, lengths, priorities and dead letters; publishers on one connection,
 * consumers on the other; settling in every way.
 */
import fc, { type Arbitrary } from 'fast-check';
import type { PropertyInputs } from '../support/raw-client/method-codec.ts';
import type { TableInput, TableObject } from '../support/raw-client/table.ts';
import { goodClassicArguments } from './arguments.ts';
import { withoutPriorityLimits, withoutRaces } from './exemptions.ts';
import { type Place, type Script, SHORT_TTL_MS, type Step } from './script.ts';
import type { Fields } from './steps.ts';
import { bindingArguments, rarely, smallTable, weighted } from './values.ts';

const PUBLISHER: Place = { connection: 1, channel: 1 };
const FIRST: Place = { connection: 0, channel: 1 };
const SECOND: Place = { connection: 0, channel: 2 };

const consumerPlace = weighted<Place>([8, fc.constant(FIRST)], [3, fc.constant(SECOND)], [1, fc.constant(PUBLISHER)]);
const publisherPlace = weighted<Place>([8, fc.constant(PUBLISHER)], [2, fc.constant(FIRST)]);

function method(at: Place, name: string, fields: Fields): Step {
  return { kind: 'method', at, name, fields };
}

function anywhere(name: string, fields: Arbitrary<Fields>): Arbitrary<Step> {
  return fc.tuple(consumerPlace, fields).map(([at, given]) => method(at, name, given));
}

/** Queues of one flow: the middle one dead-letters to x1 or straight to q2, more often than not. */
const firstQueueArguments: Arbitrary<TableObject> = fc
  .tuple(
    goodClassicArguments,
    fc.constantFrom<TableObject>(
      {},
      { 'x-dead-letter-exchange': 'x1' },
      { 'x-dead-letter-exchange': 'x1', 'x-dead-letter-routing-key': 'a.b' },
      { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q2' },
      { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q1' },
    ),
  )
  .map(([some, deadLetters]) => ({ ...some, ...deadLetters }));

const key = fc.constantFrom('a.b', 'a', '', '#', 'a.*', '*.b', 'q1', 'q2');
const exchangeType = fc.constantFrom('direct', 'fanout', 'topic', 'headers');

interface Setting {
  readonly first: TableObject;
  readonly second: TableObject;
  readonly third: TableObject;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly types: readonly [string, string];
  readonly keys: readonly [string, string, string];
  readonly bindingTable: TableObject;
  readonly alternate: boolean;
  readonly mode: string | null;
  readonly prefetch: Fields | null;
}

const setting: Arbitrary<Setting> = fc.record({
  first: firstQueueArguments,
  second: goodClassicArguments,
  third: goodClassicArguments,
  isDurable: fc.boolean(),
  isAutoDelete: rarely(10),
  types: fc.tuple(exchangeType, exchangeType),
  keys: fc.tuple(key, key, key),
  bindingTable: bindingArguments,
  alternate: rarely(4),
  mode: fc.constantFrom(null, null, 'confirm.select', 'tx.select'),
  prefetch: fc.option(fc.record({ prefetchCount: fc.nat(3), global: rarely(3) })),
});

function setUp(given: Setting): Step[] {
  const { isDurable: durable, types, keys, bindingTable, mode, prefetch } = given;
  // What comes back to an auto-delete queue that has just lost its consumer is gone with it on RabbitMQ, even if expired.
  const isLimited = Object.keys(given.first).some((name) => /ttl|max-length/.test(name));
  const autoDelete = given.isAutoDelete && !isLimited;
  const steps = [
    method(FIRST, 'exchange.declare', { exchange: 'x2', type: types[1] }),
    method(FIRST, 'exchange.declare', {
      exchange: 'x1',
      type: types[0],
      arguments: given.alternate ? { 'alternate-exchange': 'x2' } : {},
    }),
    method(FIRST, 'queue.declare', { queue: 'q1', durable, autoDelete, arguments: given.first }),
    method(FIRST, 'queue.declare', { queue: 'q2', durable, arguments: given.second }),
    method(FIRST, 'queue.declare', { queue: 'q3', arguments: given.third }),
    method(FIRST, 'queue.bind', { queue: 'q2', exchange: 'x1', routingKey: keys[0], arguments: bindingTable }),
    method(FIRST, 'queue.bind', { queue: 'q3', exchange: 'x1', routingKey: keys[1] }),
    method(FIRST, 'queue.bind', { queue: 'q1', exchange: 'x2', routingKey: keys[2], arguments: bindingTable }),
  ];
  if (mode !== null) steps.push(method(PUBLISHER, mode, {}));
  if (prefetch !== null) steps.push(method(FIRST, 'basic.qos', prefetch));
  return steps;
}

const headers: Arbitrary<TableObject> = fc
  .record(
    {
      plain: smallTable,
      CC: fc.array(fc.constantFrom<TableInput>('q1', 'q2', 'a.b'), { maxLength: 2 }),
      BCC: fc.array(fc.constantFrom<TableInput>('q2', 'q3', 'a'), { maxLength: 2 }),
    },
    { requiredKeys: ['plain'] },
  )
  .map(({ plain, ...copies }) => ({ ...plain, ...copies }));

const properties: Arbitrary<PropertyInputs> = fc
  .record(
    {
      headers: weighted<TableObject>([2, smallTable], [1, headers]),
      deliveryMode: fc.constantFrom(1, 2),
      priority: fc.constantFrom(0, 1, 3, 7),
      expiration: fc.constantFrom('0', '60000', '60000', '60000', String(SHORT_TTL_MS)),
      replyTo: fc.constant('q2'),
    },
    { requiredKeys: [] },
  )
  .map(withoutRacingCopies);

/** Whether a copy or another message's dead letter comes first to a queue is a matter of timing: no short life then. */
function withoutRacingCopies(made: PropertyInputs): PropertyInputs {
  const table = Object(made.headers ?? {});
  if (!('CC' in table || 'BCC' in table) || made.expiration === undefined) return made;
  return { ...made, expiration: '60000' };
}

const publish: Arbitrary<Step> = fc
  .record({
    at: publisherPlace,
    target: fc.constantFrom(['', 'q1'], ['', 'q1'], ['', 'q1'], ['x1', 'a.b'], ['x1', 'a'], ['x2', 'q1'], ['', 'q3']),
    mandatory: rarely(3),
    properties: weighted([1, fc.constant({})], [2, properties]),
    bodyBytes: fc.constantFrom(2, 3, 10),
    times: fc.constantFrom(1, 1, 2, 3, 5),
  })
  .map(({ target, ...others }) => {
    const [exchange = '', routingKey = ''] = target;
    return { kind: 'publish', exchange, routingKey, immediate: false, ...others };
  });

const settle: Arbitrary<Step> = fc.record({
  kind: fc.constant('settle' as const),
  at: consumerPlace,
  method: fc.constantFrom('basic.ack' as const, 'basic.nack' as const, 'basic.nack' as const, 'basic.reject' as const),
  pick: fc.nat(3),
  multiple: rarely(3),
  requeue: fc.boolean(),
});

const flowQueue = fc.constantFrom('q1', 'q1', 'q1', 'q2', 'q2', 'q3');

function consumeWith(noAck: Arbitrary<boolean>, hasPriorities: boolean): Arbitrary<Step> {
  const fields = fc
    .record({
      queue: flowQueue,
      noAck,
      exclusive: rarely(12),
      priority: hasPriorities ? fc.constantFrom(null, null, null, 1, 5, -1) : fc.constant(null),
    })
    .map(({ queue, noAck, exclusive, priority }) => ({
      queue,
      noAck,
      exclusive,
      arguments: priority === null ? {} : { 'x-priority': priority },
    }));
  return anywhere('basic.consume', fields);
}

const transactionEnd = fc
  .constantFrom('tx.commit', 'tx.commit', 'tx.rollback')
  .map((name) => method(PUBLISHER, name, {}));
const connectionEnd = fc.record({ kind: fc.constantFrom('drop' as const, 'goodbye' as const), connection: fc.nat(1) });
const cancel = anywhere(
  'basic.cancel',
  fc.nat(8).map((number) => ({ consumerTag: `c${number}` })),
);

function stepsOf(given: Setting): Arbitrary<Step> {
  // Where a message of a transaction goes is decided when it is published on RabbitMQ, when it is committed on Warren.
  const isTx = given.mode === 'tx.select';
  // On RabbitMQ a global prefetch that is used up stops consumers without acknowledgements too.
  const isGlobal = given.prefetch?.['global'] === true;
  const consume = consumeWith(isGlobal ? fc.constant(false) : rarely(4), !isGlobal);
  return weighted<Step>(
    [18, publish],
    [14, settle],
    [7, consume],
    [8, anywhere('basic.get', fc.record({ queue: flowQueue, noAck: rarely(4) }))],
    [3, cancel],
    [2, anywhere('basic.qos', fc.record({ prefetchCount: fc.nat(3) }))],
    [isTx ? 6 : 0, transactionEnd],
    [1, anywhere('queue.purge', fc.record({ queue: flowQueue }))],
    [isTx ? 0 : 1, anywhere('queue.delete', fc.record({ queue: fc.constantFrom('q1', 'q2') }))],
    [isTx ? 0 : 1, anywhere('queue.unbind', fc.constant({ queue: 'q3', exchange: 'x1', routingKey: given.keys[1] }))],
    [1, anywhere('channel.close', fc.constant({ replyCode: 200 }))],
    [1, connectionEnd],
  );
}

export const flow: Arbitrary<Script> = setting.chain((given) =>
  fc
    .array(stepsOf(given), { minLength: 6, maxLength: 30, size: 'max' })
    .map((steps) => withoutRaces(withoutPriorityLimits(withOwnTags([...setUp(given), ...steps])))),
);

/** Every consumer has a tag of its own; a cancel means one of those that were there by then. */
function withOwnTags(script: readonly Step[]): Step[] {
  let count = 0;
  return script.map((step) => {
    if (step.kind !== 'method') return step;
    if (step.name === 'basic.consume') {
      count += 1;
      return { ...step, fields: { ...step.fields, consumerTag: `c${count}` } };
    }
    if (step.name !== 'basic.cancel') return step;
    const number = Number(String(step.fields['consumerTag']).slice(1)) % Math.max(count, 1);
    return { ...step, fields: { ...step.fields, consumerTag: `c${number + 1}` } };
  });
}
