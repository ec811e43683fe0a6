/**
 * One client connection's session: what it may ask of the broker, with its
 * identity. The work is in `declare/` and `publish`; this keeps what belongs to
 * the connection: that it may own exclusive queues, and how many channels it
 * has open.
 */
import type { Message } from '../../proto/entry/message.ts';
import { bind, unbind } from './declare/bindings.ts';
import { declareExchange, deleteExchange } from './declare/declare-exchange.ts';
import { declareQueue, queueForDeleting, queueForReading } from './declare/declare-queue.ts';
import { notFound } from './declare/names.ts';
import { BrokerPublisher } from './publish.ts';
import type { ConsumerSink, Queue } from './queue/queue.ts';
import { isReplyName, REPLY_NAME } from './reply-to.ts';
import type {
  BindingRequest,
  DeclareExchange,
  DeclareQueue,
  Identity,
  Publisher,
  PublisherSink,
  ReplyConsumer,
  Session,
} from './session.ts';
import { checkRoom, type SessionContext } from './session-context.ts';
import type { Vhost } from './vhost.ts';

export class BrokerSession implements Session {
  readonly identity: Identity;
  private readonly context: SessionContext;
  /** The live one; a deleted vhost's connections are being closed. */
  private readonly vhost: Vhost;
  private mayOwnQueues = false;
  private openChannels = 0;
  private isClosed = false;

  constructor(context: SessionContext, identity: Identity, vhost: Vhost) {
    this.context = context;
    this.vhost = vhost;
    this.identity = identity;
  }

  declareExchange(request: DeclareExchange): Promise<void> {
    return declareExchange(this.context, this.identity, request);
  }

  deleteExchange(name: string, ifUnused: boolean): Promise<void> {
    return deleteExchange(this.context, this.identity, name, ifUnused);
  }

  bind(request: BindingRequest): Promise<void> {
    return bind(this.context, this.identity, request);
  }

  unbind(request: BindingRequest): Promise<void> {
    return unbind(this.context, this.identity, request);
  }

  async declareQueue(request: DeclareQueue): Promise<Queue> {
    // A reply address is no queue; front-ends answer for the live ones themselves (behaviour 127).
    if (isReplyName(request.name)) throw notFound('queue', request.name, this.identity.vhost);
    if (request.isExclusive) this.mayOwnQueues = true;
    const queue = await declareQueue(this.context, this.identity, request);
    // The connection ended while this was on its way, perhaps after its queues had been removed.
    if (this.isClosed && request.isExclusive) await this.context.ended.end(this.identity.connectionId);
    return queue;
  }

  queueForReading(name: string): Queue {
    return queueForReading(this.context, this.identity, name);
  }

  queueForDeleting(name: string): Queue | null {
    return queueForDeleting(this.context, this.identity, name);
  }

  findAgain(queue: Queue): Queue | null {
    const { topology } = this.context;
    const { vhost, name } = queue.definition;
    const byId = topology.queuesById.get(queue.id);
    return byId?.queue ?? topology.vhosts.get(vhost)?.queues.get(name)?.queue ?? null;
  }

  createPublisher(sink: PublisherSink, channelNumber: number): Publisher {
    return new BrokerPublisher(this.context, this.identity, this.context.nextPublisherId(), channelNumber, sink);
  }

  get isTraced(): boolean {
    return this.vhost.definition.isTracing;
  }

  traceDelivery(channelNumber: number, queueName: string, message: Message, isRedelivered: boolean): void {
    this.context.firehose.onDelivered(this.identity, channelNumber, this.vhost, message, queueName, isRedelivered);
  }

  createReplyConsumer(consumer: ConsumerSink, holder: number): ReplyConsumer {
    return this.context.replies.add(consumer, holder);
  }

  isReplyAddress(name: string): boolean {
    return name === REPLY_NAME || (isReplyName(name) && this.context.replies.find(name) !== null);
  }

  checkRoom(what: string): void {
    checkRoom(this.context, what);
  }

  openChannel(): void {
    this.context.channelLimits.open(this.identity.user);
    this.openChannels++;
  }

  closeChannel(): void {
    if (this.openChannels === 0) return;
    this.openChannels--;
    this.context.channelLimits.close(this.identity.user, 1);
  }

  async close(): Promise<void> {
    this.context.channelLimits.close(this.identity.user, this.openChannels);
    this.openChannels = 0;
    this.isClosed = true;
    if (!this.mayOwnQueues) return;
    this.mayOwnQueues = false;
    await this.context.ended.end(this.identity.connectionId);
  }
}
