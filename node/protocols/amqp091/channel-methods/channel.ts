/** Methods of class channel on an open channel. Source: behaviours 24, 27, 157. */
import { ReplyCode } from '../../../../proto/amqp091/errors.ts';
import { type ChannelFlow, MethodId } from '../../../../proto/amqp091/methods.generated.ts';
import type { Channel } from '../channel.ts';
import { connectionError } from '../method-errors.ts';

export function channelOpenAgain(): never {
  throw connectionError(ReplyCode.channelError, "second 'channel.open' seen", MethodId.channelOpen);
}

export function channelFlow(channel: Channel, method: ChannelFlow): void {
  if (!method.active) throw connectionError(ReplyCode.notImplemented, 'active=false', MethodId.channelFlow);
  channel.send({ name: 'channel.flow-ok', active: true });
}

/** What is unsettled is back in its queues before the close-ok is out. */
export function channelClose(channel: Channel): void {
  channel.publishing.flushConfirms();
  channel.close();
  channel.send({ name: 'channel.close-ok' });
}
