/**
 * Nodes come and go: registered at each start, held for dead, heard of again,
 * removed for good. Whether a node lives is decided here, in the log, and so is
 * the same on every node.
 *
 * With a registration, which bears a higher incarnation, whatever belonged to
 * the former one ends, on every node at the same place of the log:
 *
 * - queues that were exclusive or transient go, with their bindings and the
 *   auto-delete exchanges that lose their last one;
 * - every queue it leads gets the next epoch, or another leader, so that answers
 *   of the former incarnation can't be taken for those of this one;
 * - a node that is alone takes the transient exchanges along: they live as long
 *   as the cluster is up, and it was not;
 * - what it had sent of batches is dropped.
 *
 * Source: behaviour 154; docs/architecture, restart; replication rules 17 to 19.
 */
import { removeExchange } from './apply-exchange.ts';
import { removeQueue } from './apply-queue.ts';
import { removeAtOnce } from './apply-removal.ts';
import type { CommandReply } from './commands.ts';
import type { NodeDefinition } from './definitions.ts';
import { electAfterNodeDown, electAfterNodeUp, electAfterRegister, removeNodeFromQueues } from './election.ts';
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
    if (queue.owner !== null && queue.owner.incarnation < node.incarnation) removeAtOnce(removeQueue(state, queue));
  }
  const isAlone = state.size('nodes') === (before === null ? 0 : 1);
  if (isAlone) {
    for (const exchange of state.transientExchanges.list('')) removeAtOnce(removeExchange(state, exchange));
  }
  // The founder joined at 0, which is not written.
  const joinedAt = before === null ? (state.size('nodes') === 0 ? 0 : index) : (before.joinedAt ?? 0);
  const { nodeId, name, kind, incarnation, version } = node;
  const row = { nodeId, name, kind, incarnation, version };
  state.put('nodes', joinedAt === 0 ? row : { ...row, joinedAt });
  electAfterRegister(state, nodeId);
  return before === null ? { type: 'created', index } : { type: 'ok' };
}

/** A command about an earlier life comes too late: that one has ended already. */
export function nodeDown(state: MetadataState, nodeId: string, incarnation: number): CommandReply {
  const node = state.get('nodes', nodeId);
  if (node === null) return unknownNode(nodeId);
  if (node.incarnation !== incarnation) return otherLife(node, incarnation);
  if (node.isUp === false) return { type: 'ok' };
  state.put('nodes', { ...node, isUp: false });
  electAfterNodeDown(state, nodeId);
  return { type: 'ok' };
}

export function nodeUp(state: MetadataState, nodeId: string, incarnation: number): CommandReply {
  const node = state.get('nodes', nodeId);
  if (node === null) return unknownNode(nodeId);
  if (node.incarnation !== incarnation) return otherLife(node, incarnation);
  if (node.isUp !== false) return { type: 'ok' };
  const { isUp: _isUp, ...row } = node;
  state.put('nodes', row);
  electAfterNodeUp(state, nodeId);
  return { type: 'ok' };
}

/** The last disc node stays: there would be nobody to keep anything. */
export function removeNode(state: MetadataState, nodeId: string): CommandReply {
  const node = state.get('nodes', nodeId);
  if (node === null) return unknownNode(nodeId);
  const isDiscLeft = [...state.rows('nodes')].some((other) => other.kind === 'disc' && other.nodeId !== nodeId);
  if (!isDiscLeft) return { type: 'refused', reason: `${node.name} is the last disc node of the cluster` };
  state.batchParts.dropOf(nodeId);
  for (const queue of [...state.queuesByOwner.list(nodeId)]) removeAtOnce(removeQueue(state, queue));
  state.remove('nodes', node);
  removeNodeFromQueues(state, nodeId);
  return { type: 'ok' };
}

function unknownNode(nodeId: string): CommandReply {
  return { type: 'not-found', what: `node ${nodeId}` };
}

function otherLife(node: NodeDefinition, incarnation: number): CommandReply {
  const reason = `node ${node.name} is in incarnation ${node.incarnation}, this is about ${incarnation}`;
  return { type: 'refused', reason };
}
