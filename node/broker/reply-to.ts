/**
 * Direct reply-to (behaviours 124 to 127): a channel consumes from
 * `amq.rabbitmq.reply-to` and gets an address; what is published to that
 * address through the nameless exchange goes straight to the channel, with no
 * queue between.
 *
 * Replies are delivered at most once, as in RabbitMQ. While the client takes
 * nothing they are held here, up to a limit; beyond it they are dropped, so a
 * client that does not read costs bounded memory. The address holds random
 * bytes: who was not told it cannot reach it.
 */
import { RingQueue } from '../../proto/base/ring-queue.ts';
import type { Message } from '../../proto/entry/message.ts';
import type { ConsumerSink, HolderId } from './queue/queue.ts';
import type { ReplyConsumer } from './session.ts';

/** What a client consumes from and puts into reply_to. */
export const REPLY_NAME = 'amq.rabbitmq.reply-to';
const ADDRESS_PREFIX = `${REPLY_NAME}.`;
const TOKEN_BYTES = 18;

/** Replies held for a channel that takes nothing. A request-reply client waits for one at a time, rarely for many. */
export const HELD_REPLIES_MAX = 4096;
export const HELD_REPLY_BYTES_MAX = 8 * 1024 * 1024;

/** True for an address, live or not. */
export function isReplyName(name: string): boolean {
  return name.startsWith(ADDRESS_PREFIX);
}

export class ReplyDestination implements ReplyConsumer {
  readonly address: string;
  /** Number of the router's last walk that came by. */
  visit = 0;
  /** Replies dropped because the client did not take them. */
  dropped = 0;
  private readonly directory: ReplyDirectory;
  private readonly consumer: ConsumerSink;
  private readonly holder: HolderId;
  private readonly held = new RingQueue<Message>();
  private heldBytes = 0;
  private isOpen = true;
  private position = 0;

  constructor(directory: ReplyDirectory, address: string, consumer: ConsumerSink, holder: HolderId) {
    this.directory = directory;
    this.address = address;
    this.consumer = consumer;
    this.holder = holder;
  }

  deliver(message: Message): void {
    if (this.isOpen) this.hand(message);
    else this.hold(message);
  }

  setFlow(isOpen: boolean): void {
    this.isOpen = isOpen;
    while (this.isOpen && this.held.length > 0) {
      const message = this.held.shift()!;
      this.heldBytes -= message.memoryBytes;
      this.hand(message);
    }
  }

  close(): void {
    this.directory.remove(this);
    this.held.clear();
    this.heldBytes = 0;
    this.isOpen = false;
  }

  private hand(message: Message): void {
    this.consumer.onDelivery(this.holder, 0, ++this.position, message, false, 0);
  }

  private hold(message: Message): void {
    const bytes = message.memoryBytes;
    if (this.held.length >= HELD_REPLIES_MAX || this.heldBytes + bytes > HELD_REPLY_BYTES_MAX) {
      this.dropped++;
      return;
    }
    message.own();
    this.held.push(message);
    this.heldBytes += bytes;
  }
}

/** The live reply consumers of this node by address. */
export class ReplyDirectory {
  private readonly byAddress = new Map<string, ReplyDestination>();
  private readonly random: (bytes: number) => Buffer;

  constructor(random: (bytes: number) => Buffer) {
    this.random = random;
  }

  get size(): number {
    return this.byAddress.size;
  }

  add(consumer: ConsumerSink, holder: HolderId): ReplyDestination {
    const address = ADDRESS_PREFIX + this.random(TOKEN_BYTES).toString('base64url');
    const destination = new ReplyDestination(this, address, consumer, holder);
    this.byAddress.set(address, destination);
    return destination;
  }

  find(address: string): ReplyDestination | null {
    return this.byAddress.get(address) ?? null;
  }

  remove(destination: ReplyDestination): void {
    this.byAddress.delete(destination.address);
  }
}
