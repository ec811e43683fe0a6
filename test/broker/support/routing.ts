/** Exchanges, queues and bindings for routing tests, without metadata. */
import type { ExchangeDefinition } from '../../../cluster/metadata/definitions.ts';
import { Binding } from '../../../node/broker/exchange/binding.ts';
import { DefaultTable } from '../../../node/broker/exchange/default-exchange.ts';
import { Exchange } from '../../../node/broker/exchange/exchange.ts';
import { exchangeTypes } from '../../../node/broker/exchange/registry.ts';
import { Router } from '../../../node/broker/exchange/router.ts';
import { ReplyDirectory } from '../../../node/broker/reply-to.ts';
import { QueueDestination, Vhost } from '../../../node/broker/vhost.ts';
import type { FieldTable } from '../../../proto/amqp091/field-table.ts';
import { type Message, NO_KEYS } from '../../../proto/entry/message.ts';
import { FakeQueue } from './fake-queue.ts';
import { queueDefinition, vhost } from './world.ts';

export class RoutingTable {
  readonly vhost = new Vhost(vhost('/'));
  readonly router = new Router();
  readonly replies = new ReplyDirectory((bytes) => Buffer.alloc(bytes, 7));
  private lastQueue = 0;

  constructor() {
    const table = new DefaultTable(this.vhost.queues, this.replies);
    this.vhost.exchanges.set('', new Exchange(definition('', 'direct'), exchangeTypes.get('direct')!, table));
  }

  exchange(name: string, type: string, alternateExchange: string | null = null): Exchange {
    const exchangeType = exchangeTypes.get(type)!;
    const exchange = new Exchange(definition(name, type), exchangeType, exchangeType.createTable(42));
    exchange.alternateExchange = alternateExchange;
    this.vhost.exchanges.set(name, exchange);
    return exchange;
  }

  queue(name: string): QueueDestination {
    const queue = new QueueDestination(new FakeQueue(queueDefinition(name, { id: ++this.lastQueue }), null));
    this.vhost.queues.set(name, queue);
    return queue;
  }

  bind(source: string, destination: string, routingKey = '', bindingArguments: FieldTable = []): Binding {
    const from = this.vhost.exchanges.get(source)!;
    const queue = this.vhost.queues.get(destination);
    const made = new Binding(
      {
        vhost: '/',
        source,
        destinationKind: queue === undefined ? 'exchange' : 'queue',
        destination,
        routingKey,
        arguments: bindingArguments,
        user: 'guest',
      },
      from,
      queue ?? this.vhost.exchanges.get(destination)!,
    );
    from.table.add(made);
    return made;
  }

  unbind(binding: Binding): void {
    binding.source.table.remove(binding);
  }

  /** Names of the queues found, in alphabetical order. */
  route(
    exchange: string,
    routingKey: string,
    message: Message | null = null,
    extraRoutingKeys: readonly string[] = NO_KEYS,
  ): readonly string[] {
    const from = this.vhost.exchanges.get(exchange)!;
    const matches = this.router.route(this.vhost, from, routingKey, extraRoutingKeys, message);
    return matches.queues.map((destination) => destination.queue.definition.name).sort();
  }
}

function definition(name: string, type: string): ExchangeDefinition {
  return {
    vhost: '/',
    name,
    type,
    isDurable: true,
    isAutoDelete: false,
    isInternal: false,
    arguments: [],
    user: 'guest',
  };
}
