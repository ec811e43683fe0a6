/**
 * Changes of a queue's record: who is in sync, who has a copy, who leads.
 *
 * Each names what it was decided on (epoch and version of the record, and the
 * incarnation and assignment of whoever it adds) and is refused when that is
 * no longer so: whoever proposed it looks again.
 *
 * Source: replication rules 10 to 15, 37, 38.
 */
import type { AlterInSync, CommandReply, MoveLeader, PromoteReplica, SetReplicas } from './commands.ts';
import { type QueueReplication, type ReplicaDefinition, rowKey } from './definitions.ts';
import { install, isDisc, isReplicated, isUp, put, type ReplicatedDefinition } from './election.ts';
import type { MetadataState } from './state.ts';

/** What a command names a queue by. */
interface QueueRef {
  readonly vhost: string;
  readonly name: string;
  readonly id: number;
}

export function alterInSync(state: MetadataState, command: AlterInSync): CommandReply {
  const queue = find(state, command.queue);
  if (queue === null) return gone(command.queue);
  const { replication } = queue;
  const stale = staleReason(queue, command.epoch, command.version);
  if (stale !== null) return refused(stale);
  const { inSync, marked } = command;
  const wrong =
    wrongMembers(queue, inSync, marked) ??
    wrongAdded(state, replication, command) ??
    belowFloor(state, replication, inSync, replication.minInSync);
  if (wrong !== null) return refused(`${queueText(command.queue)}: ${wrong}`);
  put(state, { ...queue, replication: { ...replication, inSync, marked } });
  return { type: 'ok' };
}

/** Gives the queue these replicas: what is new comes last, unsynchronised; what is left out goes (rule 14). */
export function setReplicas(state: MetadataState, command: SetReplicas): CommandReply {
  const { vhost, name, id } = command.queue;
  const queue = state.get('queues', rowKey(vhost, name));
  if (queue === null || queue.id !== id) return gone(command.queue);
  const before = queue.replication ?? lonely(queue.leader);
  if (before.version !== command.version)
    return refused(`version ${before.version} of the record, got ${command.version}`);
  const { minInSync, promoteOnFailure } = command;
  const unknown = command.replicas.find((nodeId) => state.get('nodes', nodeId) === null);
  const wrong =
    (unknown === undefined ? null : `${unknown} is no member of the cluster`) ??
    (new Set(command.replicas).size === command.replicas.length ? null : 'a replica is named twice') ??
    (minInSync >= 1 ? null : `a floor of ${minInSync} members, expected 1 or more`);
  if (wrong !== null) return refused(`${queueText(command.queue)}: ${wrong}`);
  const version = before.version + 1;
  const kept = before.replicas.filter((replica) => command.replicas.includes(replica.nodeId));
  const added = command.replicas
    .filter((nodeId) => !before.replicas.some((replica) => replica.nodeId === nodeId))
    .map((nodeId): ReplicaDefinition => ({ nodeId, assignment: version }));
  const inSync = before.inSync.filter((nodeId) => command.replicas.includes(nodeId));
  if (queue.leader !== '' && !command.replicas.includes(queue.leader)) {
    return refused(`${queueText(command.queue)}: its leader can't be dropped`);
  }
  const floor = belowFloor(state, before, inSync, minInSync);
  if (floor !== null) return refused(`${queueText(command.queue)}: ${floor}`);
  put(state, {
    ...queue,
    replication: {
      version: before.version,
      replicas: [...kept, ...added],
      inSync,
      marked: before.marked.filter((nodeId) => inSync.includes(nodeId)),
      minInSync,
      promoteOnFailure,
    },
  });
  return { type: 'ok' };
}

/** The leadership goes to a member that is alive and has lost nothing: an operator's wish, or a leader that stops. */
export function moveLeader(state: MetadataState, command: MoveLeader): CommandReply {
  const queue = find(state, command.queue);
  if (queue === null) return gone(command.queue);
  const stale = staleReason(queue, command.epoch, command.version);
  if (stale !== null) return refused(stale);
  const { to } = command;
  const { inSync, marked } = queue.replication;
  const wrong = !inSync.includes(to)
    ? `${to} is not in sync`
    : marked.includes(to)
      ? `${to} has restarted and is not complete yet`
      : isUp(state, to)
        ? null
        : `${to} is down`;
  if (wrong !== null) return refused(`${queueText(command.queue)}: ${wrong}`);
  if (queue.leader !== to) install(state, queue, to);
  return { type: 'ok' };
}

/** Last step of a promotion that may lose messages: the best of those who reported leads, and it alone is in sync. */
export function promoteReplica(state: MetadataState, command: PromoteReplica): CommandReply {
  const queue = find(state, command.queue);
  if (queue === null) return gone(command.queue);
  const stale = staleReason(queue, command.epoch, command.version);
  if (stale !== null) return refused(stale);
  if (queue.leader !== '') return refused(`${queueText(command.queue)}: it has a leader, nothing to promote`);
  const { to, incarnation } = command;
  if (!queue.replication.replicas.some((replica) => replica.nodeId === to)) {
    return refused(`${queueText(command.queue)}: ${to} holds no replica`);
  }
  const registered = state.get('nodes', to)?.incarnation;
  if (!isUp(state, to) || registered !== incarnation) {
    return refused(`${queueText(command.queue)}: ${to} is not there in incarnation ${incarnation}`);
  }
  install(state, { ...queue, replication: { ...queue.replication, inSync: [to], marked: [] } }, to);
  return { type: 'ok' };
}

/** Of a queue that has one replica, when it is to have several. */
export function lonely(leader: string): QueueReplication {
  return {
    version: 0,
    replicas: [{ nodeId: leader, assignment: 0 }],
    inSync: [leader],
    marked: [],
    minInSync: 1,
    promoteOnFailure: 'when-synced',
  };
}

function find(state: MetadataState, { vhost, name, id }: QueueRef): ReplicatedDefinition | null {
  const queue = state.get('queues', rowKey(vhost, name));
  return queue !== null && queue.id === id && isReplicated(queue) ? queue : null;
}

function staleReason(queue: ReplicatedDefinition, epoch: number, version: number): string | null {
  if (queue.epoch === epoch && queue.replication.version === version) return null;
  return `decided on epoch ${epoch} version ${version}, the record is at epoch ${queue.epoch} version ${queue.replication.version}`;
}

function wrongMembers(
  queue: ReplicatedDefinition,
  inSync: readonly string[],
  marked: readonly string[],
): string | null {
  const { replication, leader } = queue;
  if (new Set(inSync).size !== inSync.length) return 'a member is named twice';
  const stranger = inSync.find((nodeId) => !replication.replicas.some((replica) => replica.nodeId === nodeId));
  if (stranger !== undefined) return `${stranger} holds no replica`;
  if (!inSync.includes(leader)) return 'the leader must be in sync';
  const newMark = marked.find((nodeId) => !replication.marked.includes(nodeId));
  if (newMark !== undefined) return `${newMark} is not marked: only a registration marks`;
  const lost = marked.find((nodeId) => !inSync.includes(nodeId));
  return lost === undefined ? null : `${lost} is marked and not in sync`;
}

/** Rules 12 and 15: whoever comes in, or loses its mark, is the life and the assignment that the leader has heard. */
function wrongAdded(
  state: MetadataState,
  { replicas, inSync: before, marked: markedBefore }: QueueReplication,
  { inSync, marked, added }: AlterInSync,
): string | null {
  for (const nodeId of inSync) {
    const isUnmarked = markedBefore.includes(nodeId) && !marked.includes(nodeId);
    if (before.includes(nodeId) && !isUnmarked) continue;
    const named = added.find((replica) => replica.nodeId === nodeId);
    if (named === undefined) return `${nodeId} comes in, or loses its mark, without its incarnation`;
    const registered = state.get('nodes', nodeId)?.incarnation;
    if (registered !== named.incarnation) {
      return `${nodeId} is at incarnation ${registered ?? 'none'}, ${named.incarnation} was in sync`;
    }
    const assignment = replicas.find((replica) => replica.nodeId === nodeId)?.assignment;
    if (assignment !== named.assignment)
      return `${nodeId} has assignment ${assignment}, ${named.assignment} was in sync`;
  }
  return null;
}

/** Rule 11: a shrink must leave `floor` disc members, and one in any case where there was one. */
function belowFloor(
  state: MetadataState,
  { inSync: before }: QueueReplication,
  inSync: readonly string[],
  floor: number,
): string | null {
  if (before.every((nodeId) => inSync.includes(nodeId))) return null;
  const discs = inSync.filter((nodeId) => isDisc(state, nodeId)).length;
  const discsBefore = before.filter((nodeId) => isDisc(state, nodeId)).length;
  const wanted = Math.max(floor, discsBefore > 0 ? 1 : 0);
  // Members without a disk may leave a set that is below its floor already.
  if (discs >= wanted || discs === discsBefore) return null;
  return `${discs} disc members would stay in sync, the floor is ${wanted}`;
}

function gone({ vhost, name }: QueueRef): CommandReply {
  return { type: 'not-found', what: `queue '${name}' in vhost '${vhost}'` };
}

function queueText({ vhost, name }: QueueRef): string {
  return `queue '${name}' in vhost '${vhost}'`;
}

function refused(reason: string): CommandReply {
  return { type: 'refused', reason };
}
