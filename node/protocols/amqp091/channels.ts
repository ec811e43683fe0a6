/**
 * The channels of one connection by number: opens them, finds the one a frame
 * is for, answers for those that are not there, and ends them with the
 * connection, some at a time.
 *
 * Source: behaviours 23 to 31.
 */
import { ReplyCode } from '../../../proto/amqp091/errors.ts';
import { decodeMethod } from '../../../proto/amqp091/method-codec.ts';
import { MethodId } from '../../../proto/amqp091/methods.generated.ts';
import type { ChannelStatus } from '../../broker/front-end.ts';
import type { Ending } from '../endings.ts';
import { Channel } from './channel.ts';
import type { ChannelHost } from './channel-host.ts';
import { connectionError, DropConnection, expectedChannelOpen, unexpectedFrame } from './method-errors.ts';

/** What opening a channel counts as, in bytes of input: it takes as long as publishing so much, and leaves 1.7 KB. */
export const CHANNEL_INPUT_BYTES = 4096;

export interface ChannelsHost extends ChannelHost {
  readonly gate: { count(bytes: number): void };
  readonly channelMax: number;
}

export class Channels implements Ending {
  private readonly host: ChannelsHost;
  private readonly byNumber = new Map<number, Channel>();
  /** The channel of the last frame: most frames are for the same one. */
  private last: Channel | null = null;
  /** While the connection ends: those whose consumers take more, and those that are not released. */
  private unstopped: IterableIterator<Channel> | null = null;

  constructor(host: ChannelsHost) {
    this.host = host;
  }

  get count(): number {
    return this.byNumber.size;
  }

  /** Some channel waits for an answer or has frames waiting. */
  get isBusy(): boolean {
    for (const channel of this.byNumber.values()) if (channel.isBusy) return true;
    return false;
  }

  /** @throws AmqpError, Refusal, DropConnection */
  onMethod(number: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    const channel = this.find(number);
    if (channel !== null && channel.state === 'open') channel.onMethod(methodId, bytes, start, end);
    else if (channel !== null) this.onClosingMethod(channel, methodId);
    else this.onUnopened(number, methodId, bytes, start, end);
  }

  /** @throws AmqpError 505 */
  onContent(number: number, kind: 'header' | 'body', bytes: Buffer, start: number, end: number): void {
    const channel = this.find(number);
    if (channel === null) throw unexpectedFrame('method frame, got non method frame instead', 0);
    if (channel.state === 'open') channel.onContent(kind, bytes, start, end);
  }

  /** Whether body frames of this channel are copied, or not needed at all. */
  isCopying(number: number): boolean {
    const channel = number <= 0 ? null : this.find(number);
    return channel !== null && channel.state === 'open' && !channel.isBusy && channel.publishing.isCopying;
  }

  /** Hot path. */
  onPublish(
    number: number,
    bytes: Buffer,
    argsStart: number,
    argsEnd: number,
    headerStart: number,
    headerEnd: number,
    bodyStart: number,
    bodyEnd: number,
  ): void {
    const channel = this.find(number);
    if (channel === null) throw expectedChannelOpen(MethodId.basicPublish);
    if (channel.state !== 'open') return;
    channel.onPublish(bytes, argsStart, argsEnd, headerStart, headerEnd, bodyStart, bodyEnd);
  }

  remove(channel: Channel): void {
    if (this.last === channel) this.last = null;
    this.byNumber.delete(channel.number);
  }

  /** Output is full: consumers get no more; or it has room again. */
  onOutputFlow(isOpen: boolean): void {
    for (const channel of this.byNumber.values()) {
      if (channel.state !== 'open') continue;
      if (isOpen) channel.onRoom();
      else channel.consuming.updateFlow();
    }
  }

  /** The client has read most of its answers. */
  onAnswerRoom(): void {
    for (const channel of this.byNumber.values()) if (channel.state === 'open') channel.onRoom();
  }

  /** Hardly any memory is left, or there is some again. */
  onMemory(): void {
    for (const channel of this.byNumber.values()) if (channel.state === 'open') channel.consuming.updateLimit();
  }

  /** The connection has ended: nothing comes in or goes out any more. What the channels hold is released later. */
  end(): void {
    for (const channel of this.byNumber.values()) channel.end();
    this.unstopped = this.byNumber.values();
  }

  // Ending, after `end`.

  get remaining(): number {
    let count = 0;
    for (const channel of this.byNumber.values()) count += 1 + channel.consuming.consumerCount;
    return count;
  }

  stopSome(countMax: number): number {
    let count = 0;
    while (count < countMax) {
      const next = this.unstopped?.next();
      if (next === undefined || next.done === true) break;
      next.value.consuming.stop();
      count += 1 + next.value.consuming.consumerCount;
    }
    return count;
  }

  releaseSome(countMax: number): number {
    let count = 0;
    for (const channel of this.byNumber.values()) {
      const { consuming } = channel;
      if (consuming.consumerCount > countMax - count) {
        return count + consuming.releaseSome(countMax - count);
      }
      count += 1 + consuming.consumerCount;
      channel.close();
      if (count >= countMax) break;
    }
    return count;
  }

  statuses(): readonly ChannelStatus[] {
    return [...this.byNumber.values()].map((channel) => channel.status());
  }

  private find(number: number): Channel | null {
    const last = this.last;
    if (last !== null && last.number === number) return last;
    const channel = this.byNumber.get(number) ?? null;
    if (channel !== null) this.last = channel;
    return channel;
  }

  /** Everything but the end of it is dropped (behaviour 28). */
  private onClosingMethod(channel: Channel, methodId: number): void {
    if (methodId === MethodId.channelCloseOk) channel.close();
    else if (methodId === MethodId.channelClose) channel.send({ name: 'channel.close-ok' });
  }

  private onUnopened(number: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    const method = decodeMethod(methodId >>> 16, methodId & 0xffff, bytes, start, end);
    if (method === null) throw new DropConnection(`unknown method ${methodId >>> 16},${methodId & 0xffff}`);
    if (method.name !== 'channel.open') throw expectedChannelOpen(methodId);
    this.open(number);
  }

  private open(number: number): void {
    const { channelMax } = this.host;
    if (this.byNumber.size >= channelMax) {
      const text = `number of channels opened (${channelMax}) has reached the negotiated channel_max (${channelMax})`;
      throw connectionError(ReplyCode.notAllowed, text, 0);
    }
    if (this.byNumber.size > 0) this.host.session.checkRoom('second channel of a connection');
    this.host.session.openChannel();
    this.host.gate.count(CHANNEL_INPUT_BYTES);
    this.byNumber.set(number, new Channel(number, this.host));
    this.host.send(number, { name: 'channel.open-ok' });
  }
}
