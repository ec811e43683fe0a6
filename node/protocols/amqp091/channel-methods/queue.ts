/**
 * Methods of class queue. Declarations and bindings go to the session; counts,
 * purge and delete are answered by the queue's leader.
 *
 * Source: behaviours 63 to 78, 98, 127.
 */
import { ReplyCode } from '../../../../proto/amqp091/errors.ts';
import {
  MethodId,
  type QueueBind,
  type QueueDeclare,
  type QueueDelete,
  type QueuePurge,
  type QueueUnbind,
} from '../../../../proto/amqp091/methods.generated.ts';
import type { Queue, QueueReply } from '../../../broker/queue/queue.ts';
import { REPLY_NAME } from '../../../broker/reply-to.ts';
import type { Channel } from '../channel.ts';
import { channelError, noQueue } from '../method-errors.ts';

/** The queue a method means: an empty name is the one declared last on this channel (behaviour 64). */
export function queueNameOf(channel: Channel, name: string, methodId: number): string {
  if (name !== '') return name;
  if (channel.lastDeclaredQueue !== '') return channel.lastDeclaredQueue;
  throw channelError(ReplyCode.notFound, 'no previously declared queue', methodId);
}

export function declareQueue(channel: Channel, method: QueueDeclare): void {
  if (method.queue === REPLY_NAME || method.queue.startsWith(`${REPLY_NAME}.`)) {
    declareReplyAddress(channel, method);
    return;
  }
  const declared = channel.host.session.declareQueue({
    name: method.queue,
    isPassive: method.passive,
    isDurable: method.durable,
    isExclusive: method.exclusive,
    isAutoDelete: method.autoDelete,
    arguments: method.arguments,
  });
  channel.waitFor(declared, MethodId.queueDeclare, (queue) => {
    channel.lastDeclaredQueue = queue.definition.name;
    if (!method.noWait) askCounts(channel, queue);
  });
}

function askCounts(channel: Channel, queue: Queue): void {
  channel.ask({
    methodId: MethodId.queueDeclare,
    queue,
    holder: null,
    ask: (asked, sink, token) => asked.counts(sink, token),
    onReply: (reply) => {
      // Deleted since: it was there when it was declared, and it was empty.
      const counts = reply.type === 'counts' ? reply.counts : { ready: 0, consumers: 0 };
      sendDeclareOk(channel, queue.definition.name, counts.ready, counts.consumers);
    },
  });
}

function sendDeclareOk(channel: Channel, queue: string, messageCount: number, consumerCount: number): void {
  channel.send({ name: 'queue.declare-ok', queue, messageCount, consumerCount });
}

/** Behaviour 127: a client looks whether somebody waits for a reply. */
function declareReplyAddress(channel: Channel, method: QueueDeclare): void {
  const { session } = channel.host;
  if (method.queue !== REPLY_NAME && !session.isReplyAddress(method.queue)) {
    throw noQueue(method.queue, session.identity.vhost, MethodId.queueDeclare);
  }
  if (!method.noWait) sendDeclareOk(channel, method.queue, 0, 1);
}

export function bindQueue(channel: Channel, method: QueueBind): void {
  const bound = channel.host.session.bind(bindingOf(channel, method, MethodId.queueBind));
  channel.waitFor(bound, MethodId.queueBind, () => {
    if (!method.noWait) channel.send({ name: 'queue.bind-ok' });
  });
}

export function unbindQueue(channel: Channel, method: QueueUnbind): void {
  const unbound = channel.host.session.unbind(bindingOf(channel, method, MethodId.queueUnbind));
  channel.waitFor(unbound, MethodId.queueUnbind, () => channel.send({ name: 'queue.unbind-ok' }));
}

/** With an empty queue name an empty routing key means the queue's name, too. */
function bindingOf(channel: Channel, method: QueueBind | QueueUnbind, methodId: number) {
  const destination = queueNameOf(channel, method.queue, methodId);
  const routingKey = method.queue === '' && method.routingKey === '' ? destination : method.routingKey;
  const source = method.exchange;
  return { source, destinationKind: 'queue', destination, routingKey, arguments: method.arguments } as const;
}

export function purgeQueue(channel: Channel, method: QueuePurge): void {
  const name = queueNameOf(channel, method.queue, MethodId.queuePurge);
  channel.ask({
    methodId: MethodId.queuePurge,
    queue: channel.queueForReading(name, MethodId.queuePurge),
    holder: null,
    ask: (queue, sink, token) => queue.purge(sink, token),
    onReply: (reply) => {
      if (reply.type !== 'purged') throw noQueue(name, channel.host.session.identity.vhost, MethodId.queuePurge);
      if (!method.noWait) channel.send({ name: 'queue.purge-ok', messageCount: reply.count });
    },
  });
}

export function deleteQueue(channel: Channel, method: QueueDelete): void {
  const name = queueNameOf(channel, method.queue, MethodId.queueDelete);
  const queue = channel.queueForDeleting(name, MethodId.queueDelete);
  const answer = (reply: QueueReply): void => {
    const messageCount = reply.type === 'removed' ? reply.count : 0; // gone already: delete-ok 0 (behaviour 67)
    if (!method.noWait) channel.send({ name: 'queue.delete-ok', messageCount });
  };
  if (queue === null) {
    answer({ type: 'gone' });
    return;
  }
  const conditions = { ifUnused: method.ifUnused, ifEmpty: method.ifEmpty };
  channel.ask({
    methodId: MethodId.queueDelete,
    queue,
    holder: null,
    ask: (asked, sink, token) => asked.remove(conditions, sink, token),
    onReply: answer,
  });
}
