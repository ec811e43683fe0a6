/**
 * What must hold: in every state (checkState), and when everything is healed
 * and at rest (checkAtRest). As listed at the end of replication-rules.
 */
import { type Operation, OperationKind } from '../../../../proto/entry/operation.ts';
import type { SimReplicaState } from '../../../../storage/sim-replica-store.ts';
import type { ModelNode } from './node.ts';
import { Violation } from './truth.ts';
import type { World } from './world.ts';

/** What was checked of a node last: the same is not checked twice. */
export interface Checked {
  durable: SimReplicaState | null;
  facts: number;
  messages: number;
}

export function checkState(world: World): void {
  const { head } = world.register;
  const { facts } = world.truth;
  for (const nodeId of head.inSync) {
    const node = world.nodes.get(nodeId);
    if (node === undefined) continue;
    const { checked, durable } = node;
    if (checked.facts === facts && checked.durable === durable) continue;
    checkMember(world, node, durable);
    checked.durable = durable;
    checked.facts = facts;
  }
  const leader = world.nodes.get(head.leader);
  if (leader?.leader?.epoch === head.epoch) checkLeader(world, leader);
}

/** Snapshots of disks don't change. */
const idsOfDisk = new WeakMap<SimReplicaState, Map<number, number>>();

function idsOnDisk(state: SimReplicaState): Map<number, number> {
  let ids = idsOfDisk.get(state);
  if (ids === undefined) idsOfDisk.set(state, (ids = idsOf(state)));
  return ids;
}

export function idsOf(state: SimReplicaState): Map<number, number> {
  const ids = new Map<number, number>();
  for (const [position, { entry }] of state.messages) ids.set(entry.readUInt32BE(0), position);
  return ids;
}

/** Invariant 12: every in-sync replica has all confirmed persistent messages and all committed settles on its disk. */
function checkMember(world: World, node: ModelNode, state: SimReplicaState): void {
  const { truth } = world;
  const ids = idsOnDisk(state);
  for (const id of truth.confirmed) {
    if (truth.isKept(id) && !ids.has(id)) throw new Violation(`confirmed ${id} is not on the disk of ${node.id}`);
  }
  if (truth.promotions > 0) return; // publishers may be forgotten (rule 40): a message that was settled may be there again
  for (const id of truth.settled) {
    const position = truth.isPersistent.get(id) === true ? ids.get(id) : undefined;
    if (position === undefined || state.operations.some((operation) => settles(operation, position))) continue;
    throw new Violation(`the committed settle of ${id} is not on the disk of ${node.id}`);
  }
}

function settles(operation: Operation, position: number): boolean {
  if (operation.kind !== OperationKind.settle && operation.kind !== OperationKind.purge) return false;
  for (let i = 0; i < operation.numbers.length; i += 2) {
    if (operation.numbers[i]! <= position && position <= operation.numbers[i + 1]!) return true;
  }
  return false;
}

function checkLeader(world: World, node: ModelNode): void {
  const { truth } = world;
  const { messages } = node.log!.now;
  const stamp = truth.facts + messages.size / 1e6;
  if (node.checked.messages === stamp) return;
  node.checked.messages = stamp;
  const ids = idsOf(node.log!.now);
  // What a crash loses is published again, and a promotion in mid-sync forgets publishers (rule 40).
  const mayLose = truth.crashes + truth.promotions > 0;
  if (!mayLose && ids.size !== messages.size) throw new Violation(`a message is twice in the log of ${node.id}`);
  for (const id of truth.confirmed) {
    if (truth.isKept(id) && !ids.has(id)) throw new Violation(`the leader ${node.id} lacks the confirmed ${id}`);
    if (!mayLose && !truth.settled.has(id) && !ids.has(id)) throw new Violation(`transient ${id} is lost`);
  }
}

export function checkAtRest(world: World): void {
  const { head } = world.register;
  const leader = world.nodes.get(head.leader);
  if (leader?.leader?.epoch !== head.epoch) throw new Violation(`nobody leads epoch ${head.epoch}: '${head.leader}'`);
  if (head.inSync.length !== head.replicas.length || head.marked.length > 0) {
    throw new Violation(
      `in sync ${head.inSync} marked ${head.marked} of ${head.replicas.map((replica) => replica.nodeId)}`,
    );
  }
  if (!world.client.isDone) throw new Violation(`unanswered: ${world.client.waiting()}`);
  if (!leader.queue!.isQuiet) throw new Violation('the queue waits for something');
  const expected = describe(leader);
  for (const { nodeId } of head.replicas) {
    const node = world.nodes.get(nodeId)!;
    const found = describe(node);
    if (found !== expected) throw new Violation(`replicas differ: ${leader.id} ${expected}, ${nodeId} ${found}`);
  }
  const live = new Set(idsOf(leader.log!.now).keys());
  for (const held of world.client.held.values()) live.delete(held.id);
  if (live.size > 0) throw new Violation(`live and not delivered: ${[...live]}`);
  for (const id of world.truth.confirmed) {
    if (world.truth.isKept(id) && ![...world.client.held.values()].some((held) => held.id === id)) {
      throw new Violation(`confirmed ${id} was not delivered`);
    }
  }
}

/** Live messages with their places and counts, and where the log ends. */
function describe(node: ModelNode): string {
  const { last, watermark, messages, counts, wanted } = node.log!.now;
  const { history } = node.replica!;
  const live = [...messages].sort((a, b) => a[0] - b[0]);
  const texts = live.map(([position, { entry }]) => {
    const times = counts.get(position) ?? 0;
    return `${history.epochAt(position)}:${position}=${entry.toString('hex')}${times > 0 ? `*${times}` : ''}`;
  });
  return `${texts.join(' ')} | ${watermark} of ${last}${wanted === null ? '' : ' syncing'}`;
}
