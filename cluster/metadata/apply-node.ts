/**
 * A node registers at each start, with a higher incarnation: whatever belonged
 * to the former one ends here, on every node at the same place of the log.
 *
 * - queues that were exclusive or transient go, with their bindings and the
 *   auto-delete exchanges that lose their last one;
 * - every queue it leads gets the next epoch, so that answers of the former
 *   incarnation can't be taken for those of this one;
 * - a node that is alone takes the transient exchanges along: they live as long
 *   as the cluster is up, and it was not;
 * - what it had sent of batches is dropped.
 *
 * Source: behaviour 154; docs/architecture, restart.
 */
import { removeExchange } from './apply-exchange.ts';
import { removeQueue } from './apply-queue.ts';
import type { CommandReply } from './commands.ts';
import type { NodeDefinition } from './definitions.ts';
import type { MetadataState } from './state.ts';

export function registerNode(state: MetadataState, node: NodeDefinition, index: number): CommandReply {
  const before = state.get('nodes', node.nodeId);
  if (before !== null && node.incarnation <= before.incarnation) {
    const found = `incarnation ${before.incarnation} of it is registered, got ${node.incarnation}`;
    return {
      type: 'refused',
      reason: `node ${node.name} (${node.nodeId}) must come back with a higher incarnation: ${found}`,
    };
  }
  state.batchParts.dropOf(node.nodeId);
  for (const queue of state.queuesByOwner.list(node.nodeId)) {
    if (queue.owner !== null && queue.owner.incarnation < node.incarnation) removeQueue(state, queue);
  }
  const isAlone = state.size('nodes') === (before === null ? 0 : 1);
  if (isAlone) {
    for (const exchange of state.transientExchanges.list('')) removeExchange(state, exchange);
  }
  for (const queue of state.queuesByLeader.list(node.nodeId)) {
    state.put('queues', { ...queue, epoch: queue.epoch + 1 });
  }
  state.put('nodes', node);
  return before === null ? { type: 'created', index } : { type: 'ok' };
}
