/**
 * One live binding, and the bucket that exchanges keep bindings in.
 *
 * A binding knows its place in its bucket, so that taking it out costs the same
 * whether the bucket holds two or a hundred thousand: the last one moves into
 * the gap (bindings have no order). Knows no exchange type.
 */
import type { BindingDefinition } from '../../../cluster/metadata/definitions.ts';
import { invariant } from '../../../proto/base/invariant.ts';
import type { QueueDestination } from '../vhost.ts';
import type { Exchange } from './exchange.ts';

/** What a binding leads to. */
export type Destination = QueueDestination | Exchange;

export class Binding {
  readonly definition: BindingDefinition;
  readonly source: Exchange;
  readonly destination: Destination;
  /** Owned by the bucket that holds it: its place there, -1 outside. */
  bucketIndex: number;

  constructor(definition: BindingDefinition, source: Exchange, destination: Destination) {
    this.definition = definition;
    this.source = source;
    this.destination = destination;
    this.bucketIndex = -1;
  }
}

export class Bucket {
  readonly bindings: Binding[] = [];

  get size(): number {
    return this.bindings.length;
  }

  add(binding: Binding): void {
    invariant(binding.bucketIndex === -1, 'a binding is added to one bucket only');
    binding.bucketIndex = this.bindings.push(binding) - 1;
  }

  remove(binding: Binding): void {
    const index = binding.bucketIndex;
    invariant(this.bindings[index] === binding, 'a binding is removed from the bucket that holds it');
    const last = this.bindings.pop()!;
    if (last !== binding) {
      this.bindings[index] = last;
      last.bucketIndex = index;
    }
    binding.bucketIndex = -1;
  }
}
