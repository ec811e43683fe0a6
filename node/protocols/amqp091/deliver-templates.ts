/**
 * The prepared basic.deliver methods of one consumer, one per address, found by
 * identity: all messages of a cached route share one Address.
 */
import { DeliverTemplate } from '../../../proto/amqp091/frame-writer.ts';
import type { Address } from '../../../proto/entry/address.ts';

/** Above this all are forgotten: what is in use comes back at once. About 64 KiB per consumer. */
const TEMPLATES_MAX = 256;

export class DeliverTemplates {
  private readonly channelNumber: number;
  private readonly consumerTag: string;
  private readonly byAddress = new Map<Address, DeliverTemplate>();
  private lastAddress: Address | null = null;
  private last: DeliverTemplate | null = null;

  constructor(channelNumber: number, consumerTag: string) {
    this.channelNumber = channelNumber;
    this.consumerTag = consumerTag;
  }

  templateFor(address: Address): DeliverTemplate {
    if (this.last !== null && this.lastAddress === address) return this.last;
    const template = this.byAddress.get(address) ?? this.make(address);
    this.lastAddress = address;
    this.last = template;
    return template;
  }

  private make(address: Address): DeliverTemplate {
    if (this.byAddress.size >= TEMPLATES_MAX) this.byAddress.clear();
    const template = new DeliverTemplate(this.channelNumber, this.consumerTag, address.bytes);
    this.byAddress.set(address, template);
    return template;
  }
}
