/** Fanout exchange: every binding matches every message, whatever the key. */
import type { Binding } from './binding.ts';
import { Bucket } from './binding.ts';
import type { BindingTable, ExchangeType } from './exchange.ts';
import type { Matches } from './matches.ts';

export class FanoutTable implements BindingTable {
  private readonly bucket = new Bucket();

  add(binding: Binding): void {
    this.bucket.add(binding);
  }

  remove(binding: Binding): void {
    this.bucket.remove(binding);
  }

  match(_routingKey: string, matches: Matches): void {
    matches.takeAll(this.bucket);
  }
}

export const fanoutType: ExchangeType = {
  name: 'fanout',
  hasTopicPermissions: false,
  createTable: () => new FanoutTable(),
  checkBinding: () => {},
};
