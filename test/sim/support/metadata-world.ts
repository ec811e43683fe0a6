/**
 * A world of nodes whose metadata is a cluster's: clients declare and delete on
 * any node while things break, and what must hold is checked as it happens.
 *
 * Checked: one leader per term; nodes that have applied the same index hold the
 * same rows; what was answered is applied on every live node that nobody calls
 * behind; what was answered stays, and nothing that was deleted comes back (a
 * declare that is applied twice would); without a majority a change is refused
 * in less than a second; who is silent to the controller holds no lease; there is
 * one cluster id.
 */
import assert from 'node:assert/strict';
import type { Change, MetadataTables, TableName } from '../../../cluster/metadata/definitions.ts';
import { rowKey } from '../../../cluster/metadata/definitions.ts';
import { TABLE_NAMES } from '../../../cluster/metadata/keys.ts';
import { declareQueue, deleteQueue } from '../../cluster/builders.ts';
import { Random } from '../../fuzz/core/random.ts';
import { EventList } from './event-list.ts';
import { MetadataPart, type MetadataPartEvents } from './metadata-part.ts';
import { SimNetwork } from './sim-network.ts';
import { type PartFactory, SimNode } from './sim-node.ts';

const REFUSED_WITHIN_MS = 1000;
const DIGEST_EVERY_MS = 200;

type Fate = 'declaring' | 'declared' | 'unknown' | 'deleting' | 'deleted' | 'refused';

export class MetadataWorld implements MetadataPartEvents {
  readonly events = new EventList();
  readonly random: Random;
  readonly network: SimNetwork;
  readonly nodes: SimNode[] = [];
  readonly counts = new Map<string, number>();
  readonly clusterIds = new Set<string>();
  readonly refused: string[] = [];
  lastWaiting = '';
  /** The first thing that did not hold. Kept, since whoever is called back into may catch what it throws. */
  private failure: unknown = null;
  private readonly parts = new Map<SimNode, MetadataPart>();
  private readonly leaderOfTerm = new Map<string, string>();
  private readonly digests = new Map<string, string>();
  private readonly fates = new Map<string, Fate>();
  private lastQueue = 0;
  private clusters = 0;
  openOperations = 0;

  constructor(seed: number) {
    this.random = new Random(seed, 7);
    this.network = new SimNetwork(this.events, new Random(seed, 8));
    this.digest();
  }

  addNode(name: string, kind: 'disc' | 'ram' = 'disc'): SimNode {
    const node = new SimNode(name, kind, this.events, this.network, new Random(this.random.next(), 9));
    this.nodes.push(node);
    return node;
  }

  /** @param peers the configured ones */
  start(node: SimNode, peers: readonly SimNode[]): void {
    const names = peers.map(({ name }) => name);
    const makeParts: PartFactory = (process) => {
      const part = new MetadataPart(process, names, `cluster-${++this.clusters}`, this);
      this.parts.set(node, part);
      return [part];
    };
    if (!node.isRunning) this.tally('start');
    node.start(makeParts);
  }

  /** Null while it does not run. */
  partOf(node: SimNode): MetadataPart | null {
    return node.isRunning ? (this.parts.get(node) ?? null) : null;
  }

  get serving(): MetadataPart[] {
    return this.nodes.flatMap((node) => {
      const part = this.partOf(node);
      return part?.isServing ? [part] : [];
    });
  }

  get controller(): SimNode | null {
    return this.serving.find((part) => part.member.metadata.isController)?.process.machine ?? null;
  }

  /** Runs what asserts, from inside the code that is tested. */
  private check(assertAll: () => void): void {
    try {
      assertAll();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    this.failure ??= error;
  }

  tally(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  run(forMs: number): void {
    this.events.runUntil(this.events.nowMs + forMs, () => this.failure !== null);
    if (this.failure !== null) throw this.failure;
  }

  runUntil(isDone: () => boolean, withinMs: number, what: string): void {
    const isIt = this.events.runUntil(this.events.nowMs + withinMs, () => this.failure !== null || isDone());
    if (this.failure !== null) throw this.failure;
    assert.ok(isIt, `${what}: not within ${withinMs} ms. ${this.describe()}`);
  }

  // What clients do

  /** Declares a queue through `node`, or deletes one that was declared. */
  operate(node: SimNode): void {
    const part = this.partOf(node);
    if (part === null || !part.isServing || node.isPaused) return;
    const declared = [...this.fates].filter(([, fate]) => fate === 'declared').map(([name]) => name);
    if (declared.length > 20 || (declared.length > 0 && this.random.oneIn(3))) {
      this.change(part, declared[this.random.below(declared.length)]!, 'deleting');
    } else {
      this.change(part, `q${++this.lastQueue}`, 'declaring');
    }
  }

  private change(part: MetadataPart, name: string, fate: 'declaring' | 'deleting'): void {
    const { machine } = part.process;
    const command = fate === 'declaring' ? declareQueue({ name }) : deleteQueue(name);
    const sinceMs = this.events.nowMs;
    let wasCutOff = this.isCutOff(machine);
    let isOpen = true;
    this.fates.set(name, fate);
    this.openOperations++;
    const close = (after: Fate): boolean => {
      if (!isOpen) return false;
      isOpen = false;
      this.openOperations--;
      this.fates.set(name, after);
      return true;
    };
    part.member.metadata.submit(command, true, {
      resolve: (reply) => {
        const isDeclare = fate === 'declaring';
        if (!close(isDeclare ? 'declared' : 'deleted')) return;
        this.tally('answered');
        this.check(() => {
          assert.equal(reply.type, isDeclare ? 'created' : 'ok', `${fate} ${name}: ${JSON.stringify(reply)}`);
          this.checkEverywhere(part, name, isDeclare);
        });
      },
      reject: ({ message, mayTakeEffect }) => {
        const tookMs = this.events.nowMs - sinceMs;
        const after = mayTakeEffect ? 'unknown' : fate === 'deleting' ? 'declared' : 'refused';
        if (!close(after) || message === 'the node is stopping') return;
        this.tally('refused');
        if (/^no majority/.test(message)) this.tally('refused without majority');
        const isLate = wasCutOff && tookMs > REFUSED_WITHIN_MS;
        this.check(() => assert.ok(!isLate, `refused after ${tookMs} ms: ${message}`));
      },
    });
    // A process that ends answers nobody.
    const watch = (): void => {
      if (!isOpen) return;
      if (this.partOf(machine) === part) {
        wasCutOff &&= this.isCutOff(machine) && !machine.isPaused;
        const tookMs = this.events.nowMs - sinceMs;
        const text = `${fate} ${name} at ${machine.name} has no answer after ${tookMs} ms`;
        this.check(() => assert.ok(tookMs < 40_000, text));
        this.events.after(50, watch);
      } else {
        close('unknown');
      }
    };
    watch();
  }

  /** `machine` reaches less than a majority of those that vote. */
  private isCutOff(machine: SimNode): boolean {
    const voters = this.partOf(machine)?.member.metadata.status?.membership.voters ?? [];
    const reachable = this.nodes.filter(
      (other) =>
        voters.includes(other.nodeId) &&
        (other === machine ||
          (other.isRunning &&
            !other.isPaused &&
            this.network.canReach(machine.name, other.name) &&
            this.network.canReach(other.name, machine.name))),
    );
    return voters.length > 0 && reachable.length * 2 <= voters.length;
  }

  /** Every node that this one takes for alive, and does not call behind, has it. */
  private checkEverywhere(part: MetadataPart, name: string, isThere: boolean): void {
    const { metadata } = part.member;
    for (const row of metadata.view.rows('nodes')) {
      if (row.isUp === false || metadata.isBehind(row.nodeId)) continue;
      const other = this.serving.find(({ process }) => process.nodeId === row.nodeId);
      if (other === undefined || other.process.machine.isPaused || other.process.incarnation !== row.incarnation)
        continue;
      const has = other.member.metadata.view.get('queues', rowKey('/', name)) !== null;
      assert.equal(
        has,
        isThere,
        `${name} answered at ${part.process.machine.name}, at ${other.process.machine.name}: ${has}`,
      );
    }
    for (const other of this.serving) {
      if (!metadata.isBehind(other.process.nodeId) || other.process.machine.isPaused) continue;
      const has = other.member.metadata.view.get('queues', rowKey('/', name)) !== null;
      this.tally('answered without one that is behind');
      const nowMs = other.process.clock.monotonicMs();
      assert.ok(
        has === isThere || !other.member.liveness.isCaughtUp(nowMs),
        `${other.process.machine.name} lacks ${name} and does not know`,
      );
    }
  }

  // What the parts say

  onLeading(part: MetadataPart, term: number): void {
    const clusterId = part.member.clusterId ?? `of ${part.process.nodeId}`;
    const key = `${clusterId}/${term}`;
    const known = this.leaderOfTerm.get(key);
    const life = `${part.process.nodeId}/${part.process.incarnation}`;
    this.check(() => assert.ok(known === undefined || known === life, `${known} and ${life} lead term ${term}`));
    if (known === undefined) this.tally('election');
    this.leaderOfTerm.set(key, life);
  }

  onChanges(part: MetadataPart, changes: readonly Change[], _index: number): void {
    for (const change of changes) {
      if (change.table === 'cluster' && change.after !== null) this.meetCluster(change.after.clusterId);
      if (change.table !== 'nodes') continue;
      if (part.process.machine !== this.controller) continue;
      if (change.after?.isUp === false) this.tally('node-down');
      if (change.before?.isUp === false && change.after?.isUp !== false) this.tally('node up again');
      if (change.after === null) this.tally('node removed');
    }
  }

  private meetCluster(clusterId: string): void {
    this.clusterIds.add(clusterId);
    this.check(() => assert.equal(this.clusterIds.size, 1, `clusters ${[...this.clusterIds].join(' and ')}`));
  }

  onStarted(_part: MetadataPart): void {
    this.tally('registered');
  }

  onRefused(part: MetadataPart, text: string): void {
    this.tally('told that it was removed');
    this.refused.push(text);
    part.process.machine.kill();
  }

  onWaiting(_part: MetadataPart, text: string): void {
    this.tally('waiting line');
    this.lastWaiting = text;
  }

  // What must hold

  private digest(): void {
    for (const part of this.serving) {
      this.check(() => this.digestOf(part));
      if (part.member.metadata.isController && !part.process.machine.isPaused) this.checkLeases(part);
    }
    this.events.after(DIGEST_EVERY_MS, () => this.digest());
  }

  /** Of whom the controller says that nobody has heard of it knows that it may not go on alone (rule 39). */
  private checkLeases(controller: MetadataPart): void {
    const { liveness } = controller.member;
    if (!liveness.isLeaseHeld(controller.process.clock.monotonicMs())) return; // deposed, and does not know
    for (const { member, process } of this.serving) {
      if (process === controller.process) continue;
      if (!liveness.isSilent(process.nodeId, controller.process.clock.monotonicMs())) continue;
      this.tally('lease of a silent node');
      const isHeld = member.liveness.isLeaseHeld(process.clock.monotonicMs());
      this.check(() => assert.ok(!isHeld, `${process.machine.name} is silent and holds its lease`));
    }
  }

  private digestOf(part: MetadataPart): void {
    const { metadata } = part.member;
    const key = `${part.member.clusterId}/${metadata.appliedIndex}`;
    const text = this.rowsOf(part);
    const known = this.digests.get(key);
    if (known === undefined) this.digests.set(key, text);
    else assert.equal(text, known, `${part.process.machine.name} at index ${metadata.appliedIndex}`);
    this.tally('digest');
  }

  private rowsOf(part: MetadataPart): string {
    const lines: string[] = [];
    for (const table of TABLE_NAMES)
      for (const row of rows(part, table)) lines.push(`${table} ${JSON.stringify(row, inOrder)}`);
    return lines.sort().join('\n');
  }

  /** After everything was put right. */
  checkAtRest(nodes: readonly SimNode[]): void {
    const parts = nodes.map((node) => this.partOf(node)!);
    for (const part of parts) this.digestOf(part);
    for (const [name, fate] of this.fates) {
      for (const part of parts) {
        const has = part.member.metadata.view.get('queues', rowKey('/', name)) !== null;
        if (fate === 'declared') assert.ok(has, `${name} was declared and is not at ${part.process.machine.name}`);
        if (fate === 'deleted' || fate === 'refused') {
          assert.ok(!has, `${name} was ${fate} and is at ${part.process.machine.name}`);
        }
      }
    }
  }

  /** All serve, know each other as up, agree, and have one controller. */
  isAtRest(nodes: readonly SimNode[]): boolean {
    const parts = nodes.map((node) => this.partOf(node));
    const [first] = parts;
    if (first === null || first === undefined || this.controller === null) return false;
    const { appliedIndex } = first.member.metadata;
    return parts.every((part) => {
      if (part === null || !part.isServing) return false;
      const { metadata, liveness } = part.member;
      const known = [...metadata.view.rows('nodes')];
      const isComplete = known.length === nodes.length && known.every((row) => row.isUp !== false);
      const voters = metadata.status?.membership.voters ?? [];
      const discs = nodes.filter((node) => node.kind === 'disc');
      const areVoters = voters.length === discs.length && discs.every((node) => voters.includes(node.nodeId));
      const isLeased = liveness.isLeaseHeld(part.process.clock.monotonicMs());
      return isComplete && areVoters && isLeased && metadata.appliedIndex === appliedIndex;
    });
  }

  describe(): string {
    const lines = this.nodes.map((node) => {
      const part = this.partOf(node);
      const status = part?.member.metadata.status;
      const names = (ids: readonly string[]): string =>
        ids
          .map((id) => this.nodes.find((other) => other.nodeId === id)?.name ?? `?${Buffer.from(id, 'hex')}`)
          .join(',');
      const members =
        status === undefined || status === null
          ? 'none'
          : names(status.membership.voters) + '|' + names(status.membership.learners);
      const rowsHere = part === null ? [] : [...part.member.metadata.view.rows('nodes')];
      const table = rowsHere.map((row) => `${row.name}${row.isUp === false ? '-' : '+'}`).join(' ');
      return `${node.name} ${node.isRunning ? (node.isPaused ? 'paused' : 'up') : 'down'} serving=${part?.isServing} cluster=${part?.member.clusterId} leader=${names([status?.leader ?? ''])} term=${status?.term} members=${members} nodes=[${table}] applied=${part?.member.metadata.appliedIndex} links=${names([...(node.network?.up.keys() ?? [])])} lease=${part?.member.liveness.isLeaseHeld(part.process.clock.monotonicMs())}`;
    });
    return `\nat ${this.events.nowMs.toFixed(1)} ms; last line: ${this.lastWaiting}\n${lines.join('\n')}`;
  }
}

function* rows<T extends TableName>(part: MetadataPart, table: T): IterableIterator<MetadataTables[T]> {
  yield* part.member.metadata.view.rows(table);
}

/** Objects with their keys in order: what came by a snapshot has them otherwise. */
function inOrder(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
