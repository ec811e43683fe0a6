/**
 * One channel's publishing: finds the way to the queues, once per exchange and
 * routing key, and gives messages to them.
 *
 *   route (cold: permission, exchange, bindings) -> Route with the queues' lanes, kept by the front-end
 *   publish (hot)                                -> Feeder -> queues; answers through the sink
 *
 * A route whose answer depends on the message (headers exchange, CC and BCC,
 * reply addresses) is walked again for each, and so is every route of a traced
 * vhost, whose messages the firehose sees. Knows no protocol.
 */
import { invariant } from '../../proto/base/invariant.ts';
import { Address } from '../../proto/entry/address.ts';
import { type Message, NO_KEYS, NO_PARTS } from '../../proto/entry/message.ts';
import type { Access } from '../access/access.ts';
import { notFound } from './declare/names.ts';
import { permissionRefusal, topicRefusal } from './declare/permissions.ts';
import type { Exchange } from './exchange/exchange.ts';
import type { Matches } from './exchange/matches.ts';
import type { Router } from './exchange/router.ts';
import { Feeder, type FeederContext } from './feeder.ts';
import type { Firehose } from './firehose.ts';
import type { PublishLane } from './publish-lane.ts';
import { Refusal } from './refusal.ts';
import type { Identity, Publisher, PublisherSink, Route } from './session.ts';
import { PublishResult } from './session.ts';
import type { Topology } from './topology.ts';
import type { Vhost } from './vhost.ts';

export interface PublisherContext extends FeederContext {
  readonly access: Access;
  readonly topology: Topology;
  readonly router: Router;
  readonly firehose: Firehose;
}

class PublisherRoute implements Route {
  readonly generation: number;
  readonly address: Address;
  readonly vhost: Vhost;
  readonly exchange: Exchange;
  /** Empty when `isPerMessage`. */
  readonly lanes: readonly PublishLane[];
  readonly isPerMessage: boolean;

  constructor(
    generation: number,
    address: Address,
    vhost: Vhost,
    exchange: Exchange,
    lanes: readonly PublishLane[],
    isPerMessage: boolean,
  ) {
    this.generation = generation;
    this.address = address;
    this.vhost = vhost;
    this.exchange = exchange;
    this.lanes = lanes;
    this.isPerMessage = isPerMessage;
  }
}

export class BrokerPublisher implements Publisher {
  private readonly context: PublisherContext;
  private readonly identity: Identity;
  /** Goes into each message: (publisher, sequence) names it in the whole node. */
  private readonly publisherId: number;
  /** The client's, for the firehose; 0 where its protocol has none. */
  private readonly channelNumber: number;
  private readonly feeder: Feeder;
  private readonly laneBuffer: PublishLane[] = [];

  constructor(
    context: PublisherContext,
    identity: Identity,
    publisherId: number,
    channelNumber: number,
    sink: PublisherSink,
  ) {
    this.context = context;
    this.identity = identity;
    this.publisherId = publisherId;
    this.channelNumber = channelNumber;
    this.feeder = new Feeder(context, sink);
  }

  route(exchangeName: string, routingKey: string): Route | Refusal {
    const { access, topology, router } = this.context;
    const denied = permissionRefusal(access, this.identity, 'write', 'exchange', exchangeName);
    if (denied !== null) return denied;
    const vhost = topology.vhosts.get(this.identity.vhost);
    const exchange = vhost?.exchanges.get(exchangeName);
    if (vhost === undefined || exchange === undefined) return notFound('exchange', exchangeName, this.identity.vhost);
    if (exchange.definition.isInternal) return internalExchange(exchangeName, vhost.name);
    const topicDenied = topicRefusal(access, this.identity, 'write', exchange, routingKey);
    if (topicDenied !== null) return topicDenied;
    const matches = router.route(vhost, exchange, routingKey, NO_KEYS, null);
    // Whether a vhost is traced is part of the generation: the route is asked for again when that changes.
    const isPerMessage = matches.isPerMessage || vhost.definition.isTracing;
    const lanes = isPerMessage ? [] : matches.queues.map((queue) => this.feeder.lane(queue));
    const address = addressOf(lanes, exchangeName, routingKey);
    return new PublisherRoute(topology.generation, address, vhost, exchange, lanes, isPerMessage);
  }

  isCurrent(route: Route): boolean {
    return route.generation === this.context.topology.generation;
  }

  publish(route: Route, message: Message, token: number): PublishResult {
    invariant(route instanceof PublisherRoute, 'a route is used by the publisher that gave it');
    message.publisherId = this.publisherId;
    message.sequence = token;
    const counters = route.exchange.counters;
    counters.publishIn++;
    if (route.isPerMessage || message.extraRoutingKeys.length > 0) return this.publishByMessage(route, message, token);
    const lanes = route.lanes;
    if (lanes.length > 1) message.lentParts = NO_PARTS;
    counters.publishOut += lanes.length;
    return lanes.length === 0 ? PublishResult.unroutable : this.feeder.feed(lanes, message, token);
  }

  wouldRoute(route: Route, message: Message): boolean {
    invariant(route instanceof PublisherRoute, 'a route is used by the publisher that gave it');
    if (!route.isPerMessage && message.extraRoutingKeys.length === 0) return route.lanes.length > 0;
    const matches = this.walk(route, message);
    return matches.queues.length + matches.replies.length > 0;
  }

  mayStore(route: Route, message: Message): boolean {
    invariant(route instanceof PublisherRoute, 'a route is used by the publisher that gave it');
    if (route.isPerMessage || message.extraRoutingKeys.length > 0 || !this.isCurrent(route)) return true;
    for (const { destination } of route.lanes) {
      const { isDurable, type } = destination.queue.definition;
      if (isDurable && (message.isPersistent || type !== 'classic')) return true;
    }
    return false;
  }

  close(): void {
    this.feeder.close();
  }

  private publishByMessage(route: PublisherRoute, message: Message, token: number): PublishResult {
    message.lentParts = NO_PARTS; // reply consumers and the firehose may have it too
    const matches = this.walk(route, message);
    // Copied: a queue that takes the message may dead-letter another one, and that walks again.
    const lanes = this.laneBuffer;
    lanes.length = 0;
    for (let i = 0; i < matches.queues.length; i++) lanes.push(this.feeder.lane(matches.queues[i]!));
    const replies = matches.replies.length;
    route.exchange.counters.publishOut += lanes.length + replies;
    for (let i = 0; i < replies; i++) matches.replies[i]!.deliver(message);
    if (route.vhost.definition.isTracing) this.trace(route.vhost, message, lanes);
    if (lanes.length > 0) return this.feeder.feed(lanes, message, token);
    return replies > 0 ? PublishResult.accepted : PublishResult.unroutable;
  }

  private trace(vhost: Vhost, message: Message, lanes: readonly PublishLane[]): void {
    const names = lanes.map((lane) => lane.destination.queue.definition.name);
    this.context.firehose.onPublished(this.identity, this.channelNumber, vhost, message, names);
  }

  private walk(route: PublisherRoute, message: Message): Matches {
    const { vhost, exchange, address } = route;
    return this.context.router.route(vhost, exchange, address.routingKey, message.extraRoutingKeys, message);
  }
}

/**
 * One Address for all publishers of a queue that use the same words, so that its consumers keep one prepared method:
 * with a new one for every route that is not cached any more, ten thousand queues in turn cost a quarter more per message.
 */
function addressOf(lanes: readonly PublishLane[], exchange: string, routingKey: string): Address {
  const only = lanes.length === 1 ? lanes[0]!.destination : null;
  const last = only === null ? null : only.lastAddress;
  if (last !== null && last.routingKey === routingKey && last.exchange === exchange) return last;
  const address = new Address(exchange, routingKey);
  if (only !== null) only.lastAddress = address;
  return address;
}

function internalExchange(name: string, vhost: string): Refusal {
  return new Refusal('access-refused', `cannot publish to internal exchange '${name}' in vhost '${vhost}'`);
}
