/**
 * Direct exchange: a binding matches when its routing key is the message's.
 *
 * Binding, unbinding and matching cost one look-up.
 */
import type { Binding } from './binding.ts';
import { Bucket } from './binding.ts';
import type { BindingTable, ExchangeType } from './exchange.ts';
import type { Matches } from './matches.ts';

export class DirectTable implements BindingTable {
  private readonly bucketByKey = new Map<string, Bucket>();

  add(binding: Binding): void {
    const key = binding.definition.routingKey;
    let bucket = this.bucketByKey.get(key);
    if (bucket === undefined) {
      bucket = new Bucket();
      this.bucketByKey.set(key, bucket);
    }
    bucket.add(binding);
  }

  remove(binding: Binding): void {
    const key = binding.definition.routingKey;
    const bucket = this.bucketByKey.get(key);
    if (bucket === undefined) return;
    bucket.remove(binding);
    if (bucket.size === 0) this.bucketByKey.delete(key);
  }

  match(routingKey: string, matches: Matches): void {
    const bucket = this.bucketByKey.get(routingKey);
    if (bucket !== undefined) matches.takeAll(bucket);
  }
}

export const directType: ExchangeType = {
  name: 'direct',
  hasTopicPermissions: false,
  createTable: () => new DirectTable(),
  checkBinding: () => {},
};
