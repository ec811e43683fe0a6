/**
 * Where the copies of a queue are to be, and the next step from where they are.
 *
 * In: what the policy and the queue's arguments ask, the nodes, how many
 * replicas each holds. Out: the wished replicas in order (the leader of a new
 * queue first), or one command that brings the record nearer to them. The
 * proposer of a declare asks for the first, the controller for the second,
 * again and again until there is nothing left to do.
 *
 * A change never endangers what is there: new copies are added first and old
 * ones dropped when all wished copies that can be are in sync; the leader is
 * never dropped, it moves to a wished member before.
 *
 * Source: semantics 1.12 (RabbitMQ 3.13's mirroring); replication rules 11, 14.
 */
import { findField } from '../../proto/amqp091/field-table.ts';
import { lonely } from './apply-replication.ts';
import type { MoveLeader, Placement, QueueRef, SetReplicas } from './commands.ts';
import type { NodeDefinition, QueueDefinition } from './definitions.ts';

/** What a policy or a queue's type asks. */
export interface ReplicationWish {
  readonly mode: 'all' | 'exactly' | 'nodes';
  /** Of `exactly`: leader and followers together. */
  readonly count: number;
  /** Of `nodes`: their names. */
  readonly names: readonly string[];
  /** Null: a majority where there are three replicas or more, else 1. */
  readonly minInSync: number | null;
  readonly promoteOnFailure: 'when-synced' | 'always';
  /** Quorum queues never confirm below a majority. */
  readonly isQuorum: boolean;
}

export interface PlacementNode extends NodeDefinition {
  /** Replicas it holds, and how many of them lead. */
  readonly replicas: number;
  readonly leaders: number;
  /** Not there, and for so long that its copies are to be made elsewhere. */
  readonly isLost: boolean;
}

export type LeaderLocator = 'client-local' | 'balanced' | 'random';

const QUORUM_SIZE_DEFAULT = 3;

/** Null: this queue has one replica. Exclusive queues and such that end with their node are never copied. */
export function replicationWish(
  queue: Pick<QueueDefinition, 'type' | 'arguments' | 'isExclusive' | 'owner'>,
  policy: Readonly<Record<string, unknown>> | null,
): ReplicationWish | null {
  if (queue.isExclusive || queue.owner !== null) return null;
  if (queue.type === 'quorum') return quorumWish(queue, policy);
  const mode = policy?.['ha-mode'];
  const params = policy?.['ha-params'];
  const floor = policy?.['ha-min-in-sync'];
  const common = {
    count: 0,
    names: [],
    minInSync: typeof floor === 'number' && Number.isInteger(floor) && floor >= 1 ? floor : null,
    promoteOnFailure: policy?.['ha-promote-on-failure'] === 'always' ? ('always' as const) : ('when-synced' as const),
    isQuorum: false,
  };
  switch (mode) {
    case 'all':
      return { ...common, mode };
    case 'exactly':
      return typeof params === 'number' && params >= 1 ? { ...common, mode, count: Math.floor(params) } : null;
    case 'nodes':
      return Array.isArray(params)
        ? { ...common, mode, names: params.filter((name) => typeof name === 'string') }
        : null;
    default:
      return null;
  }
}

function quorumWish(
  queue: Pick<QueueDefinition, 'arguments'>,
  policy: Readonly<Record<string, unknown>> | null,
): ReplicationWish {
  const asked = findField(queue.arguments, 'x-quorum-initial-group-size');
  const size = asked !== null && 'v' in asked && typeof asked.v === 'number' ? asked.v : QUORUM_SIZE_DEFAULT;
  const target = policy?.['target-group-size'];
  return {
    mode: 'exactly',
    count: Math.max(size, typeof target === 'number' ? target : 0),
    names: [],
    minInSync: null,
    promoteOnFailure: 'when-synced',
    isQuorum: true,
  };
}

/** Who leads a queue that is declared on `clientNode` now. @param chance 0 <= x < 1, for `random`. */
export function locateLeader(
  nodes: readonly PlacementNode[],
  clientNode: string,
  locator: LeaderLocator,
  chance: number,
): string {
  const able = inJoinOrder(nodes).filter((node) => isAlive(node) && node.kind === 'disc');
  if (able.length === 0 || locator === 'client-local') return clientNode;
  if (locator === 'random') return able[Math.floor(chance * able.length)]!.nodeId;
  return leastOf(able, (node) => node.leaders, clientNode).nodeId;
}

/** Where a new queue goes; null: on `leader` alone, without a record. */
export function placeQueue(
  wish: ReplicationWish | null,
  nodes: readonly PlacementNode[],
  leader: string,
): Placement | null {
  if (wish === null) return null;
  const named = wish.mode === 'nodes' ? namedNodes(wish, nodes).filter(isAlive) : [];
  const first = named.length > 0 && !named.some((node) => node.nodeId === leader) ? named[0]!.nodeId : leader;
  const replicas = wishedReplicas(wish, nodes, first, [first]);
  if (replicas.length < 2 && nodes.length < 2) return null; // a cluster of one has nothing to agree on
  return { replicas, minInSync: floorOf(wish, replicas, nodes), promoteOnFailure: wish.promoteOnFailure };
}

/**
 * The next command that brings `queue` to what is wished; null when nothing is to be done, or must wait for a replica.
 * @param wish null: one replica
 */
export function nextStep(
  queue: QueueDefinition,
  wish: ReplicationWish | null,
  nodes: readonly PlacementNode[],
): SetReplicas | MoveLeader | null {
  if (queue.replication === null && wish === null) return null;
  if (queue.replication === null && nodes.length < 2) return null;
  const record = queue.replication ?? lonely(queue.leader);
  if (queue.leader === '') return null; // promoted first
  const present = record.replicas.map((replica) => replica.nodeId);
  const complete = present.filter((nodeId) => record.inSync.includes(nodeId));
  const byWorth = [...complete, ...present.filter((nodeId) => !complete.includes(nodeId))];
  const wished = wish === null ? [queue.leader] : wishedReplicas(wish, nodes, queue.leader, byWorth);
  const ref: QueueRef = { vhost: queue.vhost, name: queue.name, id: queue.id };
  const promoteOnFailure = wish?.promoteOnFailure ?? 'when-synced';
  const missing = wished.filter((nodeId) => !present.includes(nodeId));
  const surplus = present.filter((nodeId) => !wished.includes(nodeId));
  const isFull = wished.every((nodeId) => record.inSync.includes(nodeId) || !isAlive(nodeOf(nodes, nodeId)));
  if (missing.length === 0 && isFull && !wished.includes(queue.leader)) {
    const to = wished.find(
      (id) => record.inSync.includes(id) && !record.marked.includes(id) && isAlive(nodeOf(nodes, id)),
    );
    if (to === undefined) return null;
    return { type: 'move-leader', queue: ref, epoch: queue.epoch, version: record.version, to };
  }
  const dropped = missing.length === 0 && isFull ? surplus.filter((nodeId) => nodeId !== queue.leader) : [];
  const replicas = [...present.filter((nodeId) => !dropped.includes(nodeId)), ...missing];
  const minInSync = wish === null ? 1 : floorOf(wish, wished, nodes);
  const isSame =
    replicas.length === present.length &&
    missing.length === 0 &&
    minInSync === record.minInSync &&
    promoteOnFailure === record.promoteOnFailure;
  if (isSame) return null;
  return { type: 'set-replicas', queue: ref, version: record.version, replicas, minInSync, promoteOnFailure };
}

/**
 * Everybody who is to hold a copy, in order of rank.
 * @param present who holds one now, the most complete first: they are kept where they fit
 */
function wishedReplicas(
  wish: ReplicationWish,
  nodes: readonly PlacementNode[],
  leader: string,
  present: readonly string[],
): string[] {
  const discs = inJoinOrder(nodes).filter((node) => node.kind === 'disc');
  switch (wish.mode) {
    case 'all': {
      const rams = inJoinOrder(nodes).filter((node) => node.kind === 'ram');
      return withFirst(
        leader,
        [...discs, ...rams].map((node) => node.nodeId),
      );
    }
    case 'nodes': {
      const named = namedNodes(wish, nodes).map((node) => node.nodeId);
      if (named.length === 0) return [leader]; // unknown names are no error: it stays where it is
      return named.includes(leader) ? withFirst(leader, named) : named;
    }
    case 'exactly': {
      const chosen = present.filter((id) => id === leader || nodeOf(nodes, id)?.isLost === false);
      const kept = withFirst(leader, chosen).slice(0, wish.count);
      const others = discs.filter((node) => isAlive(node) && !kept.includes(node.nodeId));
      while (kept.length < wish.count && others.length > 0) {
        const next = leastOf(others, (node) => node.replicas, null);
        kept.push(next.nodeId);
        others.splice(others.indexOf(next), 1);
      }
      // Nobody else is there to hold it: a lost copy is better than none.
      for (const id of present) {
        if (kept.length < wish.count && !kept.includes(id) && nodeOf(nodes, id) !== undefined) kept.push(id);
      }
      return kept;
    }
  }
}

function floorOf(wish: ReplicationWish, replicas: readonly string[], nodes: readonly PlacementNode[]): number {
  const discs = replicas.filter((nodeId) => nodeOf(nodes, nodeId)?.kind === 'disc').length;
  const size = wish.isQuorum ? Math.max(discs, 1) : discs;
  const majority = Math.floor(size / 2) + 1;
  if (wish.isQuorum) return majority;
  const asked = wish.minInSync ?? (discs >= 3 ? majority : 1);
  return Math.max(1, Math.min(asked, Math.max(discs, 1)));
}

function namedNodes(wish: ReplicationWish, nodes: readonly PlacementNode[]): PlacementNode[] {
  return wish.names.flatMap((name) => nodes.filter((node) => node.name === name));
}

function inJoinOrder(nodes: readonly PlacementNode[]): PlacementNode[] {
  return [...nodes].sort((a, b) => (a.joinedAt ?? 0) - (b.joinedAt ?? 0));
}

function isAlive(node: PlacementNode | undefined): boolean {
  return node !== undefined && node.isUp !== false;
}

function nodeOf(nodes: readonly PlacementNode[], nodeId: string): PlacementNode | undefined {
  return nodes.find((node) => node.nodeId === nodeId);
}

function withFirst(first: string, all: readonly string[]): string[] {
  return [first, ...all.filter((nodeId) => nodeId !== first)];
}

/** The one with the least; among equals `favourite`, else the first. */
function leastOf(
  nodes: readonly PlacementNode[],
  load: (node: PlacementNode) => number,
  favourite: string | null,
): PlacementNode {
  let best = nodes[0]!;
  for (const node of nodes) {
    const isLess = load(node) < load(best);
    const isEqualFavourite = load(node) === load(best) && node.nodeId === favourite;
    if (isLess || isEqualFavourite) best = node;
  }
  return best;
}
