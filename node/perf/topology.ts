/**
 * Queues, exchange, bindings and keys of a run: their names, who feeds and
 * reads which, and their declaration and deletion.
 *
 * Keys are made so that each message matches the bindings of exactly one queue,
 * with a fanout of all. A third of the topic patterns each is `q.*.k`, `q.k.#`
 * and `#.k.q`.
 */
import { EMPTY_TABLE, type FieldTable } from '../../proto/amqp091/field-table.ts';
import type { ClientConnection } from './client/connection.ts';
import { channelNumber } from './client/handshake.ts';
import type { Topology } from './options.ts';

export function queueName(topology: Topology, queue: number): string {
  return `${topology.queuePrefix}${queue}`;
}

/** What to publish to, for `queue` by its binding number `binding`. */
export interface Destination {
  readonly exchange: string;
  readonly routingKey: string;
  readonly headers: FieldTable | null;
}

export function destinationOf(topology: Topology, queue: number, binding: number): Destination {
  const { exchangeType, exchangeName: exchange } = topology;
  switch (exchangeType) {
    case 'default':
      return { exchange: '', routingKey: queueName(topology, queue), headers: null };
    case 'fanout':
      return { exchange, routingKey: '', headers: null };
    case 'direct':
      return { exchange, routingKey: directKey(queue, binding), headers: null };
    case 'topic':
      return { exchange, routingKey: topicKey(queue, binding), headers: null };
    case 'headers':
      return { exchange, routingKey: '', headers: headersOf(queue, binding) };
  }
}

/** The numbers of the bindings whose keys a publisher uses in turn, spread over all. */
export function bindingsInTurn({ exchangeType, bindings, keyCycle }: Topology): readonly number[] {
  const isOne = exchangeType === 'default' || exchangeType === 'fanout';
  const count = isOne ? 1 : Math.min(bindings, keyCycle);
  return Array.from({ length: count }, (_, place) => Math.floor((place * bindings) / count));
}

/** Publisher or consumer `index` of `count` has these of all queues: one each, or several when there are fewer of them. */
export function shareOf(index: number, count: number, queues: number): readonly number[] {
  const share: number[] = [index % queues];
  for (let queue = index + count; queue < queues; queue += count) share.push(queue);
  return share;
}

export async function declareTopology(connection: ClientConnection, topology: Topology): Promise<void> {
  const { exchangeType: type, exchangeName: exchange, isDurable: durable } = topology;
  if (type !== 'default') {
    const kind = { durable, autoDelete: false, internal: false, passive: false, noWait: false };
    await connection.call(
      channelNumber,
      { name: 'exchange.declare', exchange, type, ...kind, arguments: EMPTY_TABLE },
      'exchange.declare-ok',
    );
  }
  for (let queue = 0; queue < topology.queues; queue++) {
    await declareQueue(connection, topology, queue);
    if (type !== 'default') await bindQueue(connection, topology, queue);
  }
}

async function declareQueue(connection: ClientConnection, topology: Topology, queue: number): Promise<void> {
  const name = queueName(topology, queue);
  await connection.call(
    channelNumber,
    {
      name: 'queue.declare',
      queue: name,
      passive: false,
      durable: topology.isDurable,
      exclusive: false,
      autoDelete: topology.isAutoDelete,
      noWait: false,
      arguments: topology.queueArguments,
    },
    'queue.declare-ok',
  );
  if (!topology.isPurged) return;
  await connection.call(channelNumber, { name: 'queue.purge', queue: name, noWait: false }, 'queue.purge-ok');
}

/** Ready messages of a queue; the answer comes after everything that was sent before on this connection. */
export async function messageCountOf(connection: ClientConnection, topology: Topology, queue: number): Promise<number> {
  const answer = await connection.call(
    channelNumber,
    {
      name: 'queue.declare',
      queue: queueName(topology, queue),
      passive: true,
      durable: false,
      exclusive: false,
      autoDelete: false,
      noWait: false,
      arguments: EMPTY_TABLE,
    },
    'queue.declare-ok',
  );
  return answer.name === 'queue.declare-ok' ? answer.messageCount : 0;
}

async function bindQueue(connection: ClientConnection, topology: Topology, queue: number): Promise<void> {
  const { exchangeType, exchangeName: exchange } = topology;
  const count = exchangeType === 'fanout' ? 1 : topology.bindings;
  for (let binding = 0; binding < count; binding++) {
    await connection.call(
      channelNumber,
      {
        name: 'queue.bind',
        queue: queueName(topology, queue),
        exchange,
        routingKey: bindingKey(topology, queue, binding),
        noWait: false,
        arguments:
          exchangeType === 'headers' ? [['x-match', { t: 'S', v: 'all' }], ...headersOf(queue, binding)] : EMPTY_TABLE,
      },
      'queue.bind-ok',
    );
  }
}

export async function deleteTopology(connection: ClientConnection, topology: Topology): Promise<void> {
  for (let queue = 0; queue < topology.queues; queue++) {
    const name = queueName(topology, queue);
    await connection.call(
      channelNumber,
      { name: 'queue.delete', queue: name, ifUnused: false, ifEmpty: false, noWait: false },
      'queue.delete-ok',
    );
  }
  if (topology.exchangeType === 'default') return;
  await connection.call(
    channelNumber,
    { name: 'exchange.delete', exchange: topology.exchangeName, ifUnused: false, noWait: false },
    'exchange.delete-ok',
  );
}

function bindingKey({ exchangeType }: Topology, queue: number, binding: number): string {
  if (exchangeType === 'direct') return directKey(queue, binding);
  return exchangeType === 'topic' ? topicPattern(queue, binding) : '';
}

function directKey(queue: number, binding: number): string {
  return `q${queue}.k${binding}`;
}

function topicPattern(queue: number, binding: number): string {
  if (binding % 3 === 0) return `q${queue}.*.k${binding}`;
  return binding % 3 === 1 ? `q${queue}.k${binding}.#` : `#.k${binding}.q${queue}`;
}

function topicKey(queue: number, binding: number): string {
  if (binding % 3 === 0) return `q${queue}.mid.k${binding}`;
  return binding % 3 === 1 ? `q${queue}.k${binding}.a.b` : `a.b.k${binding}.q${queue}`;
}

function headersOf(queue: number, binding: number): FieldTable {
  return [
    ['q', { t: 'I', v: queue }],
    ['k', { t: 'I', v: binding }],
  ];
}
