/**
 * One connection's incoming side under load: counts deliveries, gets, returns and
 * confirms, looks at the numbers in the bodies, and keeps nothing else. Acks what
 * it is asked to ack.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { RawConnection } from '../../support/raw-client/connection.ts';
import { shapeById } from '../../support/raw-client/methods.ts';
import { FrameScanner } from './frame-scanner.ts';
import { numberIn } from './messages.ts';

const LOOK_MS = 5;
const METHOD = 1;
const BODY = 3;

export interface TakerOptions {
  /** Acknowledges with `multiple` after each so many deliveries; 0 for never. */
  readonly acksEvery?: number;
  /** The first number to come. */
  readonly from?: number;
}

export class Taker {
  /** How often each method came. */
  readonly methods = new Map<string, number>();
  bodyBytes = 0;
  /** With which the last body began. */
  lastNumber: number;
  /** The first number that did not follow the one before it; null while all did. */
  disorder: string | null = null;
  lastDeliveryTag = 0;
  confirmedThrough = 0;
  nacked = 0;
  private readonly connection: RawConnection;
  private readonly acksEvery: number;
  private readonly confirmedBeyond = new Set<number>();
  private bodyLeft = 0;
  private isBodyStart = false;
  private unacked = 0;

  constructor(connection: RawConnection, { acksEvery = 0, from = 0 }: TakerOptions = {}) {
    this.connection = connection;
    this.acksEvery = acksEvery;
    this.lastNumber = from - 1;
    const scanner = new FrameScanner((type, channel, payload) => this.onFrame(type, channel, payload));
    connection.takeOver((chunk) => scanner.push(chunk));
  }

  count(method: string): number {
    return this.methods.get(method) ?? 0;
  }

  /** Everything that arrived as a message with a body. */
  get messages(): number {
    return this.count('basic.deliver') + this.count('basic.get-ok') + this.count('basic.return');
  }

  /** Waits long: what takes how long is for others to judge. */
  async until(what: string, isThere: () => boolean, withinMs = 60_000): Promise<void> {
    const giveUpAt = performance.now() + withinMs;
    while (!isThere()) {
      if (performance.now() > giveUpAt) {
        throw new Error(`${what}: not within ${withinMs} ms; came: ${JSON.stringify([...this.methods])}`);
      }
      await delay(LOOK_MS);
    }
  }

  private onFrame(type: number, channel: number, payload: Buffer): void {
    if (type === METHOD) this.onMethod(channel, payload);
    else if (type === BODY) this.onBody(payload);
    else if (payload.length > 0) {
      this.bodyLeft = Number(payload.readBigUInt64BE(4));
      this.isBodyStart = true;
      if (this.bodyLeft === 0) this.onMessage(channel);
    }
    if (type === BODY && this.bodyLeft === 0) this.onMessage(channel);
  }

  private onMethod(channel: number, payload: Buffer): void {
    const { name } = shapeById(payload.readUInt16BE(0), payload.readUInt16BE(2));
    this.methods.set(name, this.count(name) + 1);
    if (name === 'basic.deliver') {
      this.lastDeliveryTag = Number(payload.readBigUInt64BE(5 + payload.readUInt8(4)));
    } else if (name === 'basic.ack' || name === 'basic.nack') {
      this.onConfirm(Number(payload.readBigUInt64BE(4)), payload.readUInt8(12) !== 0, name === 'basic.nack');
    } else if (name === 'channel.close') {
      this.connection.sendMethod(channel, 'channel.close-ok');
    }
  }

  private onConfirm(tag: number, isMultiple: boolean, isNack: boolean): void {
    if (isNack) this.nacked += isMultiple ? tag - this.confirmedThrough : 1;
    if (isMultiple) this.confirmedThrough = Math.max(this.confirmedThrough, tag);
    else this.confirmedBeyond.add(tag);
    while (this.confirmedBeyond.delete(this.confirmedThrough + 1)) this.confirmedThrough += 1;
  }

  private onBody(payload: Buffer): void {
    if (this.isBodyStart) this.onNumber(numberIn(payload));
    this.isBodyStart = false;
    this.bodyLeft -= payload.length;
    this.bodyBytes += payload.length;
  }

  private onNumber(number: number): void {
    if (number !== this.lastNumber + 1) this.disorder ??= `${number} after ${this.lastNumber}`;
    this.lastNumber = number;
  }

  private onMessage(channel: number): void {
    this.unacked += 1;
    if (this.acksEvery === 0 || this.unacked < this.acksEvery) return;
    this.unacked = 0;
    this.ack(channel, this.lastDeliveryTag);
  }

  ack(channel: number, deliveryTag: number): void {
    this.connection.sendMethod(channel, 'basic.ack', { deliveryTag, multiple: true });
  }
}
