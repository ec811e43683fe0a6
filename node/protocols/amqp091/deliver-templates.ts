/**
 * The prepared basic.deliver methods of one consumer, one per address, found by
 * identity: all messages of a cached route share one Address.
 *
 * With more addresses than are kept, one template is written anew for each of
 * the others: with keys that go round, forgetting all would mean keeping none.
 */
import { DeliverTemplate } from '../../../proto/amqp091/frame-writer.ts';
import { LazyMap } from '../../../proto/base/lazy-map.ts';
import type { Address } from '../../../proto/entry/address.ts';

/** About 64 KiB per consumer. */
const TEMPLATES_MAX = 256;
/** So many that were not among those kept: others are in use now. */
const STRANGERS_MAX = 16 * TEMPLATES_MAX;
/** Two short strings. */
const ADDRESS_BYTES_MAX = 512;

export class DeliverTemplates {
  private readonly channelNumber: number;
  private readonly consumerTag: string;
  private readonly byAddress = new LazyMap<Address, DeliverTemplate>();
  private lastAddress: Address | null = null;
  private last: DeliverTemplate | null = null;
  private reused: DeliverTemplate | null = null;
  private strangers = 0;

  constructor(channelNumber: number, consumerTag: string) {
    this.channelNumber = channelNumber;
    this.consumerTag = consumerTag;
  }

  /** To be used before the next call. */
  templateFor(address: Address): DeliverTemplate {
    if (this.last !== null && this.lastAddress === address) return this.last;
    const template = this.byAddress.get(address) ?? this.make(address);
    this.lastAddress = address;
    this.last = template;
    return template;
  }

  private make(address: Address): DeliverTemplate {
    if (this.byAddress.size >= TEMPLATES_MAX) {
      if (++this.strangers < STRANGERS_MAX) return this.reuse(address);
      this.byAddress.clear();
    }
    this.strangers = 0;
    const template = new DeliverTemplate(this.channelNumber, this.consumerTag, address.bytes.length);
    template.readdress(address.bytes);
    this.byAddress.set(address, template);
    return template;
  }

  private reuse(address: Address): DeliverTemplate {
    this.reused ??= new DeliverTemplate(this.channelNumber, this.consumerTag, ADDRESS_BYTES_MAX);
    this.reused.readdress(address.bytes);
    return this.reused;
  }
}
