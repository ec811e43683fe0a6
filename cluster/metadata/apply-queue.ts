/**
 * Queues: their identity, the vhost's limit on them, and what goes with them.
 *
 * A queue's id is the index of the command that declared it, or the next one
 * above where a batch declares several: it only rises, is the same on every
 * node and is never used again, so a queue declared again under the same name
 * is another queue.
 *
 * Source: behaviours 76 (exclusive), 59 (auto-delete exchanges), 146 (limit).
 */
import { removeBindingsTo, removeIfUnused } from './apply-exchange.ts';
import { vhostText } from './apply-vhost.ts';
import type { CommandReply } from './commands.ts';
import { type QueueDefinition, rowKey } from './definitions.ts';
import type { MetadataState } from './state.ts';

export function declareQueue(
  state: MetadataState,
  queue: QueueDefinition,
  nodeId: string,
  index: number,
): CommandReply {
  const vhost = state.get('vhosts', queue.vhost);
  if (vhost === null) return { type: 'not-found', what: vhostText(queue.vhost) };
  const existing = state.get('queues', rowKey(queue.vhost, queue.name));
  if (existing !== null) return { type: 'exists', existing };
  if (vhost.maxQueues >= 0 && state.queueCount(queue.vhost) >= vhost.maxQueues) {
    const limit = `queue limit in vhost '${vhost.name}' (${vhost.maxQueues}) is reached`;
    return { type: 'refused', reason: `cannot declare queue '${queue.name}': ${limit}` };
  }
  const ended = endedOwner(state, queue);
  if (ended !== null) return { type: 'refused', reason: ended };
  const id = Math.max(index, state.lastQueueId + 1);
  state.lastQueueId = id;
  state.put('queues', { ...queue, id, leader: nodeId, epoch: 1 });
  return { type: 'created', index: id };
}

/** A declare that was on its way when its node restarted must not leave a queue behind that nothing ends. */
function endedOwner(state: MetadataState, queue: QueueDefinition): string | null {
  if (queue.owner === null) return null;
  const node = state.get('nodes', queue.owner.nodeId);
  if (node === null || node.incarnation === queue.owner.incarnation) return null;
  const incarnation = `incarnation ${queue.owner.incarnation} of node ${node.name}`;
  return `cannot declare queue '${queue.name}': it belongs to ${incarnation}, which is at ${node.incarnation} now`;
}

/** @param id null: whatever queue has that name now. */
export function deleteQueue(state: MetadataState, vhost: string, name: string, id: number | null): CommandReply {
  const queue = state.get('queues', rowKey(vhost, name));
  if (queue === null || (id !== null && queue.id !== id)) {
    return { type: 'not-found', what: `queue '${name}' in vhost '${vhost}'` };
  }
  removeQueue(state, queue);
  return { type: 'ok' };
}

export function endConnection(state: MetadataState, nodeId: string, connectionId: string): CommandReply {
  for (const queue of state.queuesByConnection.list(rowKey(nodeId, connectionId))) removeQueue(state, queue);
  return { type: 'ok' };
}

/** With its bindings, and the auto-delete exchanges that lose their last one. */
export function removeQueue(state: MetadataState, queue: QueueDefinition): void {
  const sources = removeBindingsTo(state, queue.vhost, 'queue', queue.name);
  state.remove('queues', queue);
  for (const source of sources) removeIfUnused(state, queue.vhost, source);
}
