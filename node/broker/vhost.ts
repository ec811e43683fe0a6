/**
 * The live things of one vhost by name. `topology` alone changes them, from the
 * metadata log; everybody else looks them up.
 */
import type { VhostDefinition } from '../../cluster/metadata/definitions.ts';
import { LazySet } from '../../proto/base/lazy-map.ts';
import type { Address } from '../../proto/entry/address.ts';
import type { Binding } from './exchange/binding.ts';
import type { Exchange } from './exchange/exchange.ts';
import type { LiveQueue } from './queue/live-queue.ts';

/** A queue's place in routing. Publishers keep this object: when the queue gets another leader, `queue` is replaced. */
export class QueueDestination {
  readonly kind = 'queue';
  queue: LiveQueue;
  readonly bindingsTo = new LazySet<Binding>();
  /** Number of the router's last walk that came by: never twice in one walk. */
  visit: number;
  /** The queue was deleted: what is sent here counts as routed and lost. */
  isGone: boolean;
  /** Of the last route that led here and nowhere else: for others with the same words, of whichever publisher. */
  lastAddress: Address | null;

  constructor(queue: LiveQueue) {
    this.queue = queue;
    this.visit = 0;
    this.isGone = false;
    this.lastAddress = null;
  }
}

export class Vhost {
  definition: VhostDefinition;
  readonly exchanges = new Map<string, Exchange>();
  readonly queues = new Map<string, QueueDestination>();
  /** By the key of the metadata's table. */
  readonly bindings = new Map<string, Binding>();

  constructor(definition: VhostDefinition) {
    this.definition = definition;
  }

  get name(): string {
    return this.definition.name;
  }
}
