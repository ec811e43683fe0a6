/**
 * One of a script's connections: opens it and its channels when a step needs
 * them, tells when everything a step causes has arrived, and keeps what came in
 * groups whose order means something.
 *
 * Replies of a channel are in order; deliveries are in order per consumer;
 * confirms come when they are safe; consumers are cancelled when their queue has
 * told them. What arrives of one group beside another is a matter of timing.
 */
import { connect } from '../support/raw-client/connect.ts';
import type { BrokerAddress, RawConnection } from '../support/raw-client/connection.ts';
import type { FieldInputs, Method } from '../support/raw-client/method-codec.ts';

/** The runner's own channel on each connection. */
export const CONTROL_CHANNEL = 500;
const CONFIRMS_WITHIN_MS = 1500;
/** A broker that says nothing for so long will say nothing. */
const SILENCE_MS = 4000;

interface ChannelState {
  /** Tags of deliveries that have to be settled, oldest first. */
  readonly unsettled: number[];
  /** Several consumers were sent something in one step: which came first is a matter of timing from then on. */
  isInterleaved: boolean;
  readonly consumerTags: Set<string>;
  readonly noAckTags: Set<string>;
  isNoAckGet: boolean;
  isConfirming: boolean;
  published: number;
  readonly confirmed: Map<number, string>;
}

/** What one channel said during one step. */
export interface Heard {
  readonly replies: Method[];
  readonly deliveries: Map<string, Method[]>;
  readonly cancelled: string[];
  /** Sequence numbers. */
  readonly acked: number[];
  readonly nacked: number[];
}

export class Session {
  private readonly address: BrokerAddress;
  private connection: RawConnection | null = null;
  private readonly channels = new Map<number, ChannelState>();
  private heard = new Map<number, Heard>();
  /** How the connection ended during this step. */
  ending: Method | 'dropped' | null = null;

  constructor(address: BrokerAddress) {
    this.address = address;
  }

  get isConnected(): boolean {
    return this.connection !== null;
  }

  /** The connection, with that channel open on it. */
  async open(channel: number): Promise<RawConnection> {
    this.connection ??= await connect(this.address, { heartbeat: 0 });
    if (!this.channels.has(channel)) {
      await this.connection.openChannel(channel);
      this.channels.set(channel, newChannel());
    }
    return this.connection;
  }

  state(channel: number): ChannelState | null {
    return this.channels.get(channel) ?? null;
  }

  /** What has come since the last time, by channel. Deliveries join what is unsettled in the order of their consumers. */
  takeHeard(): Map<number, Heard> {
    const { heard } = this;
    this.heard = new Map();
    for (const [number, { deliveries }] of heard) {
      const state = this.channels.get(number);
      if (state === undefined) continue;
      if (deliveries.size > 1) state.isInterleaved = true;
      for (const [tag, methods] of [...deliveries].sort(([one], [other]) => (one < other ? -1 : 1))) {
        if (state.noAckTags.has(tag)) continue;
        for (const method of methods) state.unsettled.push(method.deliveryTag);
      }
    }
    return heard;
  }

  /** The same without taking it. */
  peekHeard(): ReadonlyMap<number, Heard> {
    return this.heard;
  }

  /** Everything a queue has ready, taken on the control channel. */
  async drain(queue: string): Promise<Method[]> {
    const messages: Method[] = [];
    for (;;) {
      const connection = await this.open(CONTROL_CHANNEL);
      connection.sendMethod(CONTROL_CHANNEL, 'basic.get', { queue, noAck: true });
      const answer = await this.until(CONTROL_CHANNEL, () => true);
      if (answer?.name !== 'basic.get-ok') return messages;
      messages.push(answer);
    }
  }

  /** Sends a method and returns what answers it: the `-ok`, or the close. Null when the connection ended. */
  async ask(channel: number, name: string, fields: FieldInputs): Promise<Method | null> {
    const connection = await this.open(channel);
    connection.sendMethod(channel, name, fields);
    return this.until(channel, (method) => method.name === `${name}-ok` || method.name === 'channel.close');
  }

  /** Everything the channels were sent so far has been taken in by them. @returns how much has arrived meanwhile */
  async settleDown(): Promise<number> {
    let count = 0;
    const numbers = [...this.channels.keys()];
    for (const number of numbers) this.connection?.sendMethod(number, 'channel.flow', { active: true });
    if (this.connection !== null && this.connection.waiting(0) > 0) await this.onEnd(this.connection);
    for (const number of numbers) {
      if (!this.channels.has(number)) continue;
      await this.until(number, (method) => {
        const isLast = method.name === 'channel.flow-ok' || method.name === 'channel.close';
        if (!isLast) count += 1;
        return isLast;
      });
    }
    return count;
  }

  /** Every publish on channels in confirm mode has its answer, or time is up. */
  async awaitConfirms(): Promise<void> {
    const deadline = performance.now() + CONFIRMS_WITHIN_MS;
    for (const [number, state] of this.channels) {
      while (state.isConfirming && state.confirmed.size < state.published && performance.now() < deadline) {
        if (!this.channels.has(number) || this.connection === null) break;
        await new Promise((resolve) => setTimeout(resolve, 2));
        await this.settleDown();
      }
    }
  }

  /**
   * Ends consumers, those that need not acknowledge or all: when a connection ends, RabbitMQ's channels go one after the
   * other, and what one gives back may still be sent to a consumer on the next.
   */
  async endConsumers(which: 'auto-ack' | 'all'): Promise<void> {
    for (const [number, { consumerTags, noAckTags }] of this.channels) {
      // The newest first: the oldest is the one that a queue with a single active consumer serves.
      for (const consumerTag of [...(which === 'all' ? consumerTags : noAckTags)].reverse()) {
        await this.ask(number, 'basic.cancel', { consumerTag });
      }
      noAckTags.clear();
    }
  }

  /** Cuts the socket. */
  drop(): void {
    this.connection?.destroy();
    this.connection = null;
    this.channels.clear();
  }

  async goodbye(): Promise<void> {
    if (this.connection === null) return;
    this.connection.sendMethod(0, 'connection.close', { replyCode: 200, replyText: 'done' });
    await this.until(0, (method) => method.name === 'connection.close-ok');
    this.drop();
  }

  /** Takes methods of a channel until `isLast`; the control channel's are returned, others' are kept as heard. */
  private async until(channel: number, isLast: (method: Method) => boolean): Promise<Method | null> {
    const { connection } = this;
    if (connection === null) return null;
    for (;;) {
      let method: Method;
      try {
        method = await connection.next(channel, SILENCE_MS);
      } catch (error) {
        if (connection.isOpen && connection.waiting(0) === 0) throw error; // it is silent: not an end but a fault
        await this.onEnd(connection);
        return null;
      }
      this.onMethod(connection, channel, method);
      if (isLast(method)) return method;
    }
  }

  private async onEnd(connection: RawConnection): Promise<void> {
    this.ending = connection.waiting(0) > 0 ? await connection.next(0) : 'dropped';
    if (this.ending !== 'dropped') connection.sendMethod(0, 'connection.close-ok');
    this.heard.clear();
    this.drop();
  }

  private onMethod(connection: RawConnection, number: number, method: Method): void {
    if (method.name === 'channel.close') {
      connection.sendMethod(number, 'channel.close-ok');
      this.channels.delete(number);
    }
    if (method.name === 'channel.close-ok') this.channels.delete(number);
    if (number === CONTROL_CHANNEL || number === 0 || method.name === 'channel.flow-ok') return;
    const state = this.channels.get(number) ?? newChannel();
    const heard = this.heardOn(number);
    switch (method.name) {
      case 'basic.deliver': {
        const tag = method.text('consumerTag');
        heard.deliveries.set(tag, [...(heard.deliveries.get(tag) ?? []), method]);
        break;
      }
      case 'basic.get-ok':
        heard.replies.push(method);
        if (!state.isNoAckGet) state.unsettled.push(method.deliveryTag);
        break;
      case 'basic.cancel':
        heard.cancelled.push(method.text('consumerTag'));
        break;
      case 'basic.ack':
      case 'basic.nack':
        onConfirm(state, heard, method);
        break;
      default:
        heard.replies.push(method);
    }
  }

  private heardOn(number: number): Heard {
    let heard = this.heard.get(number);
    if (heard === undefined) {
      heard = { replies: [], deliveries: new Map(), cancelled: [], acked: [], nacked: [] };
      this.heard.set(number, heard);
    }
    return heard;
  }
}

/** `multiple` means all up to this one that had no answer yet. */
function onConfirm(state: ChannelState, heard: Heard, method: Method): void {
  const list = method.name === 'basic.ack' ? heard.acked : heard.nacked;
  const tag = method.deliveryTag;
  for (let sequence = method.flag('multiple') ? 1 : tag; sequence <= tag; sequence += 1) {
    if (state.confirmed.has(sequence)) continue;
    state.confirmed.set(sequence, method.name);
    list.push(sequence);
  }
}

function newChannel(): ChannelState {
  return {
    unsettled: [],
    isInterleaved: false,
    consumerTags: new Set(),
    noAckTags: new Set(),
    isNoAckGet: false,
    isConfirming: false,
    published: 0,
    confirmed: new Map(),
  };
}
