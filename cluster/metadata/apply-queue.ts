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
import type { Removal } from './apply-removal.ts';
import { vhostText } from './apply-vhost.ts';
import type { CommandReply, Placement } from './commands.ts';
import { type QueueDefinition, rowKey } from './definitions.ts';
import { isUp } from './election.ts';
import type { MetadataState } from './state.ts';

export function declareQueue(
  state: MetadataState,
  queue: QueueDefinition,
  nodeId: string,
  placement: Placement | null,
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
  const { leader, replication } = placed(state, placement, nodeId);
  state.put('queues', { ...queue, id, leader, epoch: 1, replication });
  return { type: 'created', index: id };
}

/** The record a queue begins with: it is empty, so whoever is up holds all of it. */
function placed(
  state: MetadataState,
  placement: Placement | null,
  nodeId: string,
): Pick<QueueDefinition, 'leader' | 'replication'> {
  const members = placement?.replicas.filter((id, i, all) => isUp(state, id) && all.indexOf(id) === i) ?? [];
  // Whoever was to have a copy is gone meanwhile: it begins where it was declared.
  if (placement === null || members.length === 0) return { leader: nodeId, replication: null };
  const { minInSync, promoteOnFailure } = placement;
  const replicas = placement.replicas
    .filter((id, i, all) => state.get('nodes', id) !== null && all.indexOf(id) === i)
    .map((id) => ({ nodeId: id, assignment: 1 }));
  return {
    leader: members[0]!,
    replication: { version: 1, replicas, inSync: members, marked: [], minInSync, promoteOnFailure },
  };
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
export function deleteQueue(
  state: MetadataState,
  vhost: string,
  name: string,
  id: number | null,
): Removal | CommandReply {
  const queue = state.get('queues', rowKey(vhost, name));
  if (queue === null || (id !== null && queue.id !== id)) {
    return { type: 'not-found', what: `queue '${name}' in vhost '${vhost}'` };
  }
  return removeQueue(state, queue);
}

export function* endConnection(state: MetadataState, nodeId: string, connectionId: string): Removal {
  for (const queue of state.queuesByConnection.rows(rowKey(nodeId, connectionId))) yield* removeQueue(state, queue);
}

/** With its bindings, and the auto-delete exchanges that lose their last one. */
export function* removeQueue(state: MetadataState, queue: QueueDefinition): Removal {
  const sources = yield* removeBindingsTo(state, queue.vhost, 'queue', queue.name);
  state.remove('queues', queue);
  yield;
  for (const source of sources) yield* removeIfUnused(state, queue.vhost, source);
}
