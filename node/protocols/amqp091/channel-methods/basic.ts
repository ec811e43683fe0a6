/**
 * Methods of class basic, apart from the publish unit and the plain ack, which
 * the channel takes as bytes.
 *
 * Source: behaviours 99 to 127.
 */
import { randomBytes } from 'node:crypto';
import { ReplyCode } from '../../../../proto/amqp091/errors.ts';
import {
  type BasicAck,
  type BasicCancel,
  type BasicConsume,
  type BasicGet,
  type BasicNack,
  type BasicQos,
  type BasicRecover,
  type BasicRecoverAsync,
  type BasicReject,
  MethodId,
} from '../../../../proto/amqp091/methods.generated.ts';
import { plainTable } from '../../../admin/plain-table.ts';
import { type ConsumerArguments, readConsumerArguments } from '../../../broker/queue/consumer-arguments.ts';
import { type Queue, type QueueReply, type QueueReplySink, SettleOutcome } from '../../../broker/queue/queue.ts';
import { Refusal } from '../../../broker/refusal.ts';
import { REPLY_NAME } from '../../../broker/reply-to.ts';
import type { Channel } from '../channel.ts';
import { Consumer, ReplySubscription } from '../consumer.ts';
import { writeCountedMessage, writeMessage } from '../content-writer.ts';
import { connectionError, noQueue, preconditionFailed } from '../method-errors.ts';
import type { Question } from '../waiting.ts';
import { queueNameOf } from './queue.ts';

export function publishInFrames(channel: Channel, bytes: Buffer, start: number, end: number): void {
  channel.publishing.onPublishMethod(bytes, start, end);
}

export function settleAck(channel: Channel, method: BasicAck): void {
  channel.consuming.settle(method.deliveryTag, method.multiple, SettleOutcome.accept, MethodId.basicAck);
}

export function settleNack(channel: Channel, method: BasicNack): void {
  const outcome = method.requeue ? SettleOutcome.requeue : SettleOutcome.reject;
  channel.consuming.settle(method.deliveryTag, method.multiple, outcome, MethodId.basicNack);
}

export function settleReject(channel: Channel, method: BasicReject): void {
  const outcome = method.requeue ? SettleOutcome.requeue : SettleOutcome.reject;
  channel.consuming.settle(method.deliveryTag, false, outcome, MethodId.basicReject);
}

export function recover(channel: Channel, method: BasicRecover | BasicRecoverAsync, methodId: number): void {
  if (!method.requeue) throw connectionError(ReplyCode.notImplemented, 'requeue=false', methodId);
  const isAnswered = method.name === 'basic.recover';
  channel.consuming.recover(isAnswered ? () => channel.send({ name: 'basic.recover-ok' }) : null);
}

export function qos(channel: Channel, method: BasicQos): void {
  if (method.prefetchSize !== 0) {
    const text = `prefetch_size!=0 (${method.prefetchSize})`;
    throw connectionError(ReplyCode.notImplemented, text, MethodId.basicQos);
  }
  channel.send({ name: 'basic.qos-ok' });
  if (!method.global) channel.consuming.prefetch = method.prefetchCount;
  // As in RabbitMQ a limit for each consumer ends the channel's; to have both, the channel's is set last.
  channel.consuming.setGlobalPrefetch(method.global ? method.prefetchCount : 0);
}

// basic.get

/** One small object per basic.get: it is the question, and remembers what the answer needs. */
class GetQuestion implements Question {
  readonly methodId = MethodId.basicGet;
  readonly queue: Queue;
  private readonly channel: Channel;
  private readonly isAutoAck: boolean;
  /** Given when it is asked: another queue may have another. */
  holder = 0;

  constructor(channel: Channel, queue: Queue, isAutoAck: boolean) {
    this.channel = channel;
    this.queue = queue;
    this.isAutoAck = isAutoAck;
  }

  ask(queue: Queue, sink: QueueReplySink, token: number): void {
    this.holder = this.channel.consuming.getHolder(queue);
    queue.get(this.holder, this.isAutoAck, sink, token);
  }

  onReply(reply: QueueReply, queue: Queue): void {
    const { channel } = this;
    if (reply.type === 'got') {
      this.sendGot(reply, queue);
    } else if (reply.type === 'empty') {
      channel.counters.getEmpty++;
      channel.send({ name: 'basic.get-empty' });
    } else {
      throw noQueue(queue.definition.name, queue.definition.vhost, MethodId.basicGet);
    }
  }

  private sendGot(got: QueueReply & { type: 'got' }, queue: Queue): void {
    const { channel, isAutoAck } = this;
    const { counters, host } = channel;
    if (isAutoAck) counters.getNoAck++;
    else counters.get++;
    if (got.isRedelivered) counters.redeliver++;
    const { message } = got;
    const { session } = host;
    if (session.isTraced) {
      session.traceDelivery(channel.number, queue.definition.name, message, got.isRedelivered);
    }
    channel.send({
      name: 'basic.get-ok',
      deliveryTag: channel.consuming.addGot(queue, this.holder, isAutoAck, got.epoch, got.position),
      redelivered: got.isRedelivered,
      exchange: message.address.exchange,
      routingKey: message.address.routingKey,
      messageCount: got.ready,
    });
    if (queue.definition.type === 'quorum') {
      writeCountedMessage(host.outbox, channel.number, host.frameMax, message, got.deliveryCount);
    } else {
      writeMessage(host.outbox, channel.number, host.frameMax, message);
    }
  }
}

export function get(channel: Channel, method: BasicGet, bytes: Buffer, start: number, end: number): void {
  if (!channel.host.outbox.isFlowOpen) {
    channel.waitForRoom(MethodId.basicGet, Buffer.from(bytes.subarray(start, end)));
    return;
  }
  const name = queueNameOf(channel, method.queue, MethodId.basicGet);
  if (!method.noAck) channel.consuming.checkRoom();
  channel.ask(new GetQuestion(channel, channel.queueForReading(name, MethodId.basicGet), method.noAck));
}

// basic.consume and basic.cancel

export function consume(channel: Channel, method: BasicConsume): void {
  if (method.queue === REPLY_NAME) {
    consumeReplies(channel, method);
    return;
  }
  const name = queueNameOf(channel, method.queue, MethodId.basicConsume);
  const consumerTag = newConsumerTag(channel, method.consumerTag);
  const queue = channel.queueForReading(name, MethodId.basicConsume);
  if (channel.consuming.consumerCount > 0) channel.host.session.checkRoom('second consumer of a channel');
  const asked = consumerArgumentsOf(queue, method);
  const request = subscribeRequest(channel, method, asked.priority, consumerTag);
  const consumer = new Consumer(channel.consuming, queue, request, asked.isCancelledOnFailover);
  channel.ask({
    methodId: MethodId.basicConsume,
    queue,
    holder: consumer.holder,
    ask: (leader, sink, token) => consumer.subscribe(leader, sink, token),
    onReply: (reply) => {
      if (reply.type !== 'subscribed') throw noQueue(name, queue.definition.vhost, MethodId.basicConsume);
      if (!method.noWait) channel.send({ name: 'basic.consume-ok', consumerTag });
      channel.consuming.addConsumer(consumer);
    },
  });
}

function subscribeRequest(channel: Channel, method: BasicConsume, priority: number, consumerTag: string) {
  const { host, consuming, number } = channel;
  const { connectionName, user } = host.session.identity;
  return {
    holder: host.nextHolderId(),
    consumerTag,
    isAutoAck: method.noAck,
    isExclusive: method.exclusive,
    priority,
    prefetch: consuming.prefetch,
    ackTimeoutMs: host.consumerTimeoutMs,
    description: { connectionName, channelNumber: number, user, arguments: plainTable(method.arguments) },
  };
}

function newConsumerTag(channel: Channel, asked: string): string {
  if (asked === '') return `amq.ctag-${randomBytes(16).toString('base64url')}`;
  if (!channel.consuming.hasConsumer(asked)) return asked;
  throw connectionError(ReplyCode.notAllowed, `attempt to reuse consumer tag '${asked}'`, MethodId.basicConsume);
}

/** @throws AmqpError 406 for arguments that are wrong or that another queue type knows (behaviour 121). */
function consumerArgumentsOf(queue: Queue, method: BasicConsume): ConsumerArguments {
  try {
    return readConsumerArguments(queue.definition, method.arguments);
  } catch (error) {
    throw error instanceof Refusal ? preconditionFailed(error.message, MethodId.basicConsume) : error;
  }
}

/** Behaviours 124 to 126. */
function consumeReplies(channel: Channel, method: BasicConsume): void {
  const { consuming, publishing, host } = channel;
  if (!method.noAck) throw preconditionFailed('reply consumer cannot acknowledge', MethodId.basicConsume);
  if (consuming.replySubscription !== null) {
    throw preconditionFailed('reply consumer already set', MethodId.basicConsume);
  }
  const subscription = new ReplySubscription(consuming, newConsumerTag(channel, method.consumerTag));
  subscription.attach(host.session.createReplyConsumer(subscription, host.nextHolderId()));
  consuming.replySubscription = subscription;
  publishing.door.replyAddress = subscription.address;
  if (!method.noWait) channel.send({ name: 'basic.consume-ok', consumerTag: subscription.consumerTag });
}

/** An unknown tag is answered as well (behaviour 115). */
export function cancel(channel: Channel, method: BasicCancel): void {
  const { consumerTag } = method;
  const { consuming } = channel;
  const answer = (): void => {
    if (!method.noWait) channel.send({ name: 'basic.cancel-ok', consumerTag });
  };
  if (consuming.replySubscription?.consumerTag === consumerTag) {
    consuming.endReplies();
    channel.publishing.door.replyAddress = null;
    answer();
    return;
  }
  const consumer = consuming.consumer(consumerTag);
  if (consumer === null) {
    answer();
    return;
  }
  channel.ask({
    methodId: MethodId.basicCancel,
    queue: consumer.queue,
    holder: null,
    ask: (queue, sink, token) => queue.cancel(consumer.holder, sink, token),
    onReply: () => {
      consuming.removeConsumer(consumer);
      answer();
    },
  });
}
