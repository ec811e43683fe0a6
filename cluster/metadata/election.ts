/**
 * Who leads a queue: decided here, from the record, on every node alike. The
 * replicas are not asked, but for the one case where nobody in sync is alive
 * and the policy would rather lose messages than wait (rule 37).
 *
 * Eligible are the members of the in-sync set that are alive: unmarked before
 * marked (rule 19), disc before ram, then the oldest replica. Nobody eligible:
 * the record stays as it is, and the first of them that comes back leads.
 *
 * Each function goes through the queues that a node's coming or going concerns;
 * a queue with one replica has no record and can be led by nobody else.
 *
 * Source: replication rules 10, 18, 19, 37, 38; RabbitMQ promotes the oldest
 * synchronised mirror.
 */
import { removeQueue } from './apply-queue.ts';
import { removeAtOnce } from './apply-removal.ts';
import type { QueueDefinition, QueueReplication } from './definitions.ts';
import type { MetadataState } from './state.ts';

/** A queue with a record of its replicas. */
export type ReplicatedDefinition = QueueDefinition & { readonly replication: QueueReplication };

export function isReplicated(queue: QueueDefinition): queue is ReplicatedDefinition {
  return queue.replication !== null;
}

export function isUp(state: MetadataState, nodeId: string): boolean {
  const node = state.get('nodes', nodeId);
  return node !== null && node.isUp !== false;
}

export function isDisc(state: MetadataState, nodeId: string): boolean {
  return state.get('nodes', nodeId)?.kind === 'disc';
}

/** The member that leads next, or null when none that may is alive. */
export function electLeader(state: MetadataState, { inSync, marked, replicas }: QueueReplication): string | null {
  let best: string | null = null;
  let bestRank = Number.POSITIVE_INFINITY;
  for (const [age, { nodeId }] of replicas.entries()) {
    if (!inSync.includes(nodeId) || !isUp(state, nodeId)) continue;
    const rank = (marked.includes(nodeId) ? 2 : 0) + (isDisc(state, nodeId) ? 0 : 1) + age / (replicas.length + 1);
    if (rank >= bestRank) continue;
    best = nodeId;
    bestRank = rank;
  }
  return best;
}

/** `leader` takes over with the next epoch; a member that is elected loses its mark. */
export function install(state: MetadataState, queue: ReplicatedDefinition, leader: string): void {
  const { replication } = queue;
  state.put('queues', {
    ...queue,
    leader,
    epoch: queue.epoch + 1,
    replication: {
      ...replication,
      version: replication.version + 1,
      marked: replication.marked.filter((nodeId) => nodeId !== leader),
    },
  });
}

/**
 * `nodeId` has begun a new incarnation: the former one leads nothing any more, not even where it is elected again. It
 * stays in the sets, marked. Queues without a live leader may have one now.
 */
export function electAfterRegister(state: MetadataState, nodeId: string): void {
  for (const queue of [...state.queuesByLeader.list(nodeId)]) {
    if (!isReplicated(queue)) state.put('queues', { ...queue, epoch: queue.epoch + 1 });
  }
  for (const queue of replicatedOn(state, nodeId)) {
    const { replication } = queue;
    const isMember = replication.inSync.includes(nodeId);
    const marked = [...replication.marked.filter((other) => other !== nodeId), nodeId];
    const after: ReplicatedDefinition = isMember ? { ...queue, replication: { ...replication, marked } } : queue;
    const mustElect = queue.leader === nodeId || (isMember && isLeaderless(state, queue));
    const leader = mustElect ? electLeader(state, after.replication) : null;
    if (leader !== null) install(state, after, leader);
    else if (isMember) put(state, after); // also marked again: what was decided on its former life is refused
  }
}

/** The cluster holds `nodeId` for dead. */
export function electAfterNodeDown(state: MetadataState, nodeId: string): void {
  for (const queue of [...state.queuesByLeader.list(nodeId)]) {
    if (!isReplicated(queue)) continue;
    const leader = electLeader(state, queue.replication);
    if (leader !== null) install(state, queue, leader);
    else if (queue.replication.promoteOnFailure === 'always') vacate(state, queue);
  }
}

/** `nodeId` was held for dead and is not: queues that wait for one of their members have one. */
export function electAfterNodeUp(state: MetadataState, nodeId: string): void {
  for (const queue of replicatedOn(state, nodeId)) {
    if (queue.leader === nodeId || !queue.replication.inSync.includes(nodeId)) continue;
    if (isLeaderless(state, queue)) install(state, queue, nodeId);
  }
}

/** `nodeId` is no member of the cluster any more: it leaves every record; what only it had is gone with it. */
export function removeNodeFromQueues(state: MetadataState, nodeId: string): void {
  for (const queue of [...state.queuesByLeader.list(nodeId)]) {
    if (!isReplicated(queue) || queue.replication.replicas.every((replica) => replica.nodeId === nodeId)) {
      removeAtOnce(removeQueue(state, queue));
    }
  }
  for (const queue of replicatedOn(state, nodeId)) {
    const { replication } = queue;
    const after: ReplicatedDefinition = {
      ...queue,
      replication: {
        ...replication,
        replicas: replication.replicas.filter((replica) => replica.nodeId !== nodeId),
        inSync: replication.inSync.filter((member) => member !== nodeId),
        marked: replication.marked.filter((member) => member !== nodeId),
      },
    };
    const leader = queue.leader === nodeId ? electLeader(state, after.replication) : null;
    if (leader !== null) install(state, after, leader);
    else if (queue.leader === nodeId) vacate(state, after);
    else put(state, after);
  }
}

/** Nobody leads: the first step of a promotion that may lose messages. Replicas report after they have applied it. */
function vacate(state: MetadataState, queue: ReplicatedDefinition): void {
  install(state, queue, '');
}

/** No leader that is alive. */
export function isLeaderless(state: MetadataState, queue: QueueDefinition): boolean {
  return !isUp(state, queue.leader);
}

/** A change of the record that elects nobody. */
export function put(state: MetadataState, queue: ReplicatedDefinition): void {
  const { replication } = queue;
  state.put('queues', { ...queue, replication: { ...replication, version: replication.version + 1 } });
}

function replicatedOn(state: MetadataState, nodeId: string): ReplicatedDefinition[] {
  const found: ReplicatedDefinition[] = [];
  for (const queue of state.rows('queues')) {
    if (isReplicated(queue) && queue.replication.replicas.some((replica) => replica.nodeId === nodeId)) {
      found.push(queue);
    }
  }
  return found;
}
