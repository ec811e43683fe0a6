/**
 * Where messages go that died in a queue: to the queue's dead-letter exchange,
 * with their deaths written into the headers (behaviours 131 to 136).
 *
 * The source queue keeps its copy until every target has answered, so nothing
 * is lost between two queues. A target that refuses (it is full and rejects)
 * loses its copy, as in RabbitMQ; one whose leader moved is asked again. No
 * exchange, no queue, a circle that nobody would end, or no room for one more
 * death: the message is dropped and counted; of the last two an operator is told
 * once for each queue.
 *
 * A target may overflow and dead-letter in turn, a target of that again, and so
 * on: such calls are put in a line and worked off by the first one, so the depth
 * of the stack does not depend on what queues are declared.
 */

import type { FieldTable } from '../../../proto/amqp091/field-table.ts';
import { decodeProperties, rewriteProperties } from '../../../proto/amqp091/properties.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { Address } from '../../../proto/entry/address.ts';
import { Message, NO_KEYS } from '../../../proto/entry/message.ts';
import type { Router } from '../exchange/router.ts';
import { Feeder, type FeederContext } from '../feeder.ts';
import type { PublishLane } from '../publish-lane.ts';
import type { DeadLetterSink, DeadLetters, DeathReason } from '../queue/context.ts';
import type { PublishSink, Queue } from '../queue/queue.ts';
import { type PublisherSink, PublishResult } from '../session.ts';
import type { Topology } from '../topology.ts';
import { DEATH_BYTES_MAX, DEATHS_MAX, isAutomaticCycle, withDeath } from './death-headers.ts';

const SHORT_STRING_BYTES_MAX = 255;
/** Queues and reasons that were told about; beyond it they are told again. */
const TOLD_MAX = 1000;

interface DeadMessage {
  readonly queue: Queue;
  readonly message: Message;
  readonly reason: DeathReason;
  readonly sink: DeadLetterSink | null;
  readonly token: number;
}

interface DeadCopy {
  readonly message: Message;
  readonly headers: FieldTable;
}

interface Waiting {
  readonly sink: DeadLetterSink;
  readonly token: number;
}

export class DeadLetterPublisher implements DeadLetters, PublisherSink {
  private readonly clock: FeederContext['clock'];
  private readonly topology: Topology;
  private readonly router: Router;
  private readonly feeder: Feeder;
  private readonly line = new RingQueue<DeadMessage>();
  private readonly waitingByToken = new Map<number, Waiting>();
  isOpen = true;
  private readonly sources = new Set<DeadLetterSink>();
  private isWorking = false;
  private lastToken = 0;
  private readonly onNote: (text: string) => void;
  private readonly told = new Set<string>();

  /** @param onNote something an operator wants to read; never per message */
  constructor(context: FeederContext, topology: Topology, router: Router, onNote: (text: string) => void = () => {}) {
    this.onNote = onNote;
    this.clock = context.clock;
    this.topology = topology;
    this.router = router;
    this.feeder = new Feeder(context, this);
  }

  /** Dead letters that some target has still to answer. */
  get pendingCount(): number {
    return this.feeder.pendingCount;
  }

  publish(
    queue: Queue,
    message: Message,
    reason: DeathReason,
    _epoch: number,
    _position: number,
    sink: DeadLetterSink | null,
    token: number,
  ): void {
    this.line.push({ queue, message, reason, sink, token });
    if (this.isWorking) return;
    this.isWorking = true;
    for (let dead = this.line.shift(); dead !== null; dead = this.line.shift()) this.send(dead);
    this.isWorking = false;
  }

  onPublishDone(token: number): void {
    const waiting = this.waitingByToken.get(token);
    if (waiting === undefined) return;
    this.waitingByToken.delete(token);
    waiting.sink.onDeadLettered(waiting.token);
  }

  /** The sources keep their copies and hand over no more until then. */
  onPublisherFlow(isOpen: boolean): void {
    this.isOpen = isOpen;
    if (!isOpen) return;
    const sources = [...this.sources];
    this.sources.clear();
    for (const source of sources) source.onDeadLetterRoom();
  }

  waitForRoom(sink: DeadLetterSink): void {
    this.sources.add(sink);
  }

  isOwn(sink: PublishSink): boolean {
    return sink === this.feeder;
  }

  private send(dead: DeadMessage): void {
    const token = ++this.lastToken;
    const isPending = this.route(dead, token);
    if (dead.sink === null) return;
    if (isPending) this.waitingByToken.set(token, { sink: dead.sink, token: dead.token });
    else dead.sink.onDeadLettered(dead.token);
  }

  /** The message goes nowhere. @returns false */
  private lose(queue: Queue, why: string | null): false {
    queue.counters.deadLettersLost++;
    if (why === null) return false;
    const { name, vhost } = queue.definition;
    const text = `dead letters of queue '${name}' in vhost '${vhost}' are dropped: ${why}`;
    if (this.told.has(text)) return false;
    if (this.told.size >= TOLD_MAX) this.told.clear();
    this.told.add(text);
    this.onNote(text);
    return false;
  }

  /** @returns true when a target has still to answer. */
  private route(dead: DeadMessage, token: number): boolean {
    const { definition } = dead.queue;
    const settings = this.topology.queuesById.get(dead.queue.id)?.queue.settings ?? null;
    const vhost = this.topology.vhosts.get(definition.vhost);
    if (settings === null || settings.deadLetterExchange === null || vhost === undefined)
      return this.lose(dead.queue, null);
    const exchange = vhost.exchanges.get(settings.deadLetterExchange);
    const address = deadAddress(settings.deadLetterExchange, settings.deadLetterRoutingKey, dead.message);
    if (exchange === undefined) return this.lose(dead.queue, null);
    if (address === null) return this.lose(dead.queue, 'the routing key is longer than 255 bytes');
    const copy = this.deadCopy(dead, address, settings.deadLetterRoutingKey === null);
    if (copy === null)
      return this.lose(dead.queue, `x-death has reached its limit (${DEATHS_MAX} entries, ${DEATH_BYTES_MAX} bytes)`);
    const matches = this.router.route(vhost, exchange, address.routingKey, copy.message.extraRoutingKeys, copy.message);
    const isAutomatic = dead.reason !== 'rejected';
    const lanes: PublishLane[] = [];
    for (const target of matches.queues) {
      if (isAutomatic && isAutomaticCycle(target.queue.definition.name, copy.headers)) continue;
      lanes.push(this.feeder.lane(target));
    }
    for (const reply of matches.replies) reply.deliver(copy.message);
    if (lanes.length === 0) {
      if (matches.replies.length > 0) return false;
      return this.lose(dead.queue, matches.queues.length > 0 ? 'they go round in a circle' : null);
    }
    return this.feeder.feed(lanes, copy.message, token) === PublishResult.pending;
  }

  private deadCopy(dead: DeadMessage, address: Address, keepsKeys: boolean): DeadCopy | null {
    const { message } = dead;
    const properties = decodeProperties(message.bytes, message.propertiesStart, message.propertiesEnd);
    const death = {
      queue: dead.queue.definition.name,
      reason: dead.reason,
      exchange: message.address.exchange,
      routingKey: message.address.routingKey,
      timeSeconds: Math.floor(this.clock.wallMs() / 1000),
      expiration: properties.expiration,
    };
    const headers = withDeath(properties.headers ?? [], death, keepsKeys);
    if (headers === null) return null;
    const changes = { headers, expiration: null };
    const rewritten = rewriteProperties(message.bytes, message.propertiesStart, message.propertiesEnd, changes);
    const bytes = Buffer.concat([rewritten, message.bytes.subarray(message.bodyStart, message.bodyEnd)]);
    const copy = new Message(
      address,
      keepsKeys ? message.extraRoutingKeys : NO_KEYS,
      message.isPersistent,
      message.priority,
      -1,
      bytes,
      0,
      rewritten.length,
      rewritten.length,
      bytes.length,
      message.bodyTail,
      message.bodyBytes,
      false,
    );
    return { message: copy, headers };
  }
}

/** Null when the routing key is longer than any delivery could show: the message goes nowhere. */
function deadAddress(exchange: string, routingKey: string | null, message: Message): Address | null {
  const key = routingKey ?? message.address.routingKey;
  const isTooLong =
    Buffer.byteLength(key) > SHORT_STRING_BYTES_MAX || Buffer.byteLength(exchange) > SHORT_STRING_BYTES_MAX;
  return isTooLong ? null : new Address(exchange, key);
}
