/**
 * What the router has found so far for one message: queues, reply consumers
 * and exchanges still to be walked, each once however many bindings lead there.
 *
 * "Once" is a number on the destination (the walk that saw it last), not a set:
 * a walk allocates nothing but the entries of these reused arrays. One object
 * per router; valid until its next walk.
 */
import type { FieldValue } from '../../../proto/amqp091/field-table.ts';
import { headersOf } from '../../../proto/amqp091/properties.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { ReplyDestination } from '../reply-to.ts';
import type { QueueDestination } from '../vhost.ts';
import type { Binding, Bucket } from './binding.ts';
import type { Exchange } from './exchange.ts';

const NO_HEADERS: ReadonlyMap<string, FieldValue> = new Map();

export class Matches {
  readonly queues: QueueDestination[] = [];
  readonly replies: ReplyDestination[] = [];
  /** Exchanges to walk, the first one included; grows while it is walked. */
  readonly exchanges: Exchange[] = [];
  /** True when the answer holds for this message only: headers or a reply address had a say. */
  isPerMessage = false;
  /** Bindings met by the exchange being walked: 0 sends the message to its alternate. */
  found = 0;
  private visit = 0;
  private message: Message | null = null;
  private headers: ReadonlyMap<string, FieldValue> | null = null;

  /** @param message null when only the routing key is known: headers are then empty. */
  begin(first: Exchange, message: Message | null): void {
    this.queues.length = 0;
    this.replies.length = 0;
    this.exchanges.length = 0;
    this.isPerMessage = false;
    this.found = 0;
    this.visit++;
    this.message = message;
    this.headers = null;
    this.walkLater(first);
  }

  /** Lets go of what the walk no longer needs, so that nothing stays alive until the next one. */
  end(): void {
    this.message = null;
    this.headers = null;
  }

  takeAll(bucket: Bucket): void {
    const bindings = bucket.bindings;
    for (let i = 0; i < bindings.length; i++) this.take(bindings[i]!);
  }

  take(binding: Binding): void {
    this.found++;
    const destination = binding.destination;
    if (destination.kind === 'queue') this.takeQueue(destination);
    else this.walkLater(destination);
  }

  takeQueue(queue: QueueDestination): void {
    if (queue.visit === this.visit) return;
    queue.visit = this.visit;
    this.queues.push(queue);
  }

  takeReply(reply: ReplyDestination): void {
    if (reply.visit === this.visit) return;
    reply.visit = this.visit;
    this.replies.push(reply);
  }

  walkLater(exchange: Exchange): void {
    if (exchange.visit === this.visit || exchange.isGone) return;
    exchange.visit = this.visit;
    this.exchanges.push(exchange);
  }

  /** The message's headers by name, parsed once per walk. */
  messageHeaders(): ReadonlyMap<string, FieldValue> {
    this.isPerMessage = true;
    if (this.headers !== null) return this.headers;
    const message = this.message;
    const table = message === null ? null : headersOf(message.bytes, message.propertiesStart, message.propertiesEnd);
    this.headers = table === null ? NO_HEADERS : new Map(table);
    return this.headers;
  }
}
