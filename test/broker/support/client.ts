/** A client of one broker, which notes down what it is told: publishes to queues by name, consumes, asks. */
import type {
  ConsumerSink,
  Queue,
  QueueReply,
  QueueReplySink,
  SubscribeRequest,
} from '../../../node/broker/queue/queue.ts';
import { Refusal } from '../../../node/broker/refusal.ts';
import type { Publisher, PublishResult } from '../../../node/broker/session.ts';
import type { Message } from '../../../proto/entry/message.ts';
import { message } from './messages.ts';
import { RecordingSink, type World } from './world.ts';

interface Delivery {
  readonly body: string;
  readonly epoch: number;
  readonly position: number;
  readonly isRedelivered: boolean;
}

export class Client implements ConsumerSink, QueueReplySink {
  readonly world: World;
  readonly sink = new RecordingSink();
  readonly deliveries: Delivery[] = [];
  readonly replies: QueueReply[] = [];
  readonly cancels: string[] = [];
  private readonly publisher: Publisher;
  private token = 0;

  constructor(world: World) {
    this.world = world;
    this.publisher = world.session().createPublisher(this.sink, 1);
  }

  queue(name = 'q'): Queue {
    return this.world.session().queueForReading(name);
  }

  publish(body: string | number, queue = 'q', deliveryMode = 2): PublishResult {
    const route = this.publisher.route('', queue);
    if (route instanceof Refusal) throw route;
    return this.publisher.publish(route, message('', queue, { deliveryMode, body: String(body) }), ++this.token);
  }

  subscribe(options: Partial<SubscribeRequest> = {}, queue = this.queue()): number {
    const holder = this.world.broker.nextHolderId();
    const description = { connectionName: 'c', channelNumber: 1, user: 'guest', arguments: {} };
    const request = {
      holder,
      consumerTag: 't',
      isAutoAck: false,
      isExclusive: false,
      priority: 0,
      prefetch: 0,
      ackTimeoutMs: 0,
    };
    queue.subscribe({ ...request, description, ...options }, this, this, 1);
    return holder;
  }

  onDelivery(_holder: number, epoch: number, position: number, m: Message, isRedelivered: boolean): void {
    this.deliveries.push({ body: m.body().toString(), epoch, position, isRedelivered });
  }

  onCancelled(_holder: number, reason: string): void {
    this.cancels.push(reason);
  }

  onAckTimeout(): void {
    this.cancels.push('ack-timeout');
  }

  onQueueReply(_queue: Queue, _token: number, reply: QueueReply): void {
    this.replies.push(reply);
  }

  get bodies(): readonly string[] {
    return this.deliveries.map((delivery) => delivery.body);
  }

  get confirmed(): readonly number[] {
    return this.sink.done.filter(([, isAccepted]) => isAccepted).map(([token]) => token);
  }
}
