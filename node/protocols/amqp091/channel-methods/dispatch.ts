/**
 * Which handler takes which method of an open channel. One handler per class;
 * what only servers send is refused here.
 */
import type { Method } from '../../../../proto/amqp091/methods.generated.ts';
import type { Channel } from '../channel.ts';
import { unimplementedMethod } from '../method-errors.ts';
import { cancel, consume, get, publishInFrames, qos, recover, settleAck, settleNack, settleReject } from './basic.ts';
import { channelClose, channelFlow, channelOpenAgain } from './channel.ts';
import { bindExchange, declareExchange, deleteExchange, unbindExchange } from './exchange.ts';
import { bindQueue, declareQueue, deleteQueue, purgeQueue, unbindQueue } from './queue.ts';
import { txCommit, txRollback, txSelect } from './tx.ts';

/** @param start argument range in `bytes`, for handlers that keep or read raw bytes. @throws AmqpError, Refusal */
export function handleMethod(
  channel: Channel,
  method: Method,
  methodId: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  switch (method.name) {
    case 'basic.publish':
      publishInFrames(channel, bytes, start, end);
      break;
    case 'basic.ack':
      settleAck(channel, method);
      break;
    case 'basic.nack':
      settleNack(channel, method);
      break;
    case 'basic.reject':
      settleReject(channel, method);
      break;
    case 'basic.get':
      get(channel, method, bytes, start, end);
      break;
    case 'basic.consume':
      consume(channel, method);
      break;
    case 'basic.cancel':
      cancel(channel, method);
      break;
    case 'basic.qos':
      qos(channel, method);
      break;
    case 'basic.recover':
    case 'basic.recover-async':
      recover(channel, method, methodId);
      break;
    case 'queue.declare':
      declareQueue(channel, method);
      break;
    case 'queue.bind':
      bindQueue(channel, method);
      break;
    case 'queue.unbind':
      unbindQueue(channel, method);
      break;
    case 'queue.purge':
      purgeQueue(channel, method);
      break;
    case 'queue.delete':
      deleteQueue(channel, method);
      break;
    case 'exchange.declare':
      declareExchange(channel, method);
      break;
    case 'exchange.delete':
      deleteExchange(channel, method);
      break;
    case 'exchange.bind':
      bindExchange(channel, method);
      break;
    case 'exchange.unbind':
      unbindExchange(channel, method);
      break;
    case 'confirm.select':
      channel.publishing.selectConfirm();
      if (!method.noWait) channel.send({ name: 'confirm.select-ok' });
      break;
    case 'tx.select':
      txSelect(channel);
      break;
    case 'tx.commit':
      txCommit(channel);
      break;
    case 'tx.rollback':
      txRollback(channel);
      break;
    case 'channel.open':
      channelOpenAgain();
      break;
    case 'channel.flow':
      channelFlow(channel, method);
      break;
    case 'channel.close':
      channelClose(channel);
      break;
    case 'access.request':
      channel.send({ name: 'access.request-ok', ticket: 1 });
      break;
    default:
      throw unimplementedMethod(methodId);
  }
}
