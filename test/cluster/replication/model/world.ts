/**
 * Three nodes, one queue, one client, the metadata log, links between all of
 * them, and whatever may go wrong. Everything is a step that a walk chooses;
 * after each step what must hold is checked, and after a walk everything is
 * healed and must come to rest.
 *
 * Links are first in, first out and lose everything when they break; a new one
 * begins empty (rule 22). A disk commits in two steps. A frame's bytes are
 * overwritten after it was handled: who keeps them without a copy is found.
 */
import { bestReport, reportOf } from '../../../../cluster/replication/promotion.ts';
import { SimReplicaState } from '../../../../storage/sim-replica-store.ts';
import { checkAtRest, checkState, idsOf } from './checks.ts';
import { type FromClient, ModelClient, type ToClient } from './client.ts';
import { type Letter, Links, letterText } from './links.ts';
import { ModelNode } from './node.ts';
import { Random } from './random.ts';
import { type Command, Register } from './register.ts';
import { type RuleName, Rules } from './rules.ts';
import { Truth, Violation } from './truth.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly steps: number;
  readonly minInSync: number;
  /** ha-promote-on-failure: always. */
  readonly isAlways: boolean;
  /** Small: a follower that was away for a moment needs a diff sync. */
  readonly tailBytesMax: number;
  readonly publishes: number;
  readonly transientShare: number;
  readonly faults: readonly Fault[];
  readonly faultsMax: number;
  /** At the end one node never comes back: whatever single fault comes next loses nothing. */
  readonly isOneLost: boolean;
  readonly broken: RuleName | null;
  /** Every message is written down, not only faults and commands. */
  readonly isTraced: boolean;
}

export type Fault = 'kill' | 'power' | 'cut' | 'wrong-down' | 'wipe' | 'drop' | 'lag';

const names = ['a', 'b', 'c'];
const CLIENT = 'x';

export class World {
  readonly options: WorldOptions;
  readonly random: Random;
  readonly rules: Rules;
  readonly truth = new Truth();
  readonly register: Register;
  readonly client: ModelClient;
  readonly nodes = new Map<string, ModelNode>();
  private allNodes: ModelNode[] = [];
  private ends: string[] = [];
  nowMs = 0;
  private proposals: Command[] = [];
  private readonly links = new Links();
  private faults = 0;
  private generation = 0;
  private hasFaults = true;
  /** What was done, for a failure's text. */
  readonly trace: string[] = [];

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = new Random(options.seed);
    this.rules = new Rules(options.broken);
    this.register = new Register(names, this.rules, options);
    this.client = new ModelClient(
      {
        truth: this.truth,
        has: (rule) => this.rules.has(rule as RuleName),
        send: (nodeId, message) => this.push(CLIENT, nodeId, message),
        isLinked: (nodeId) => this.isLinked(CLIENT, nodeId),
      },
      this.register.head,
    );
    for (const name of names) {
      const node = new ModelNode(this, name, 1);
      node.assignment = 1;
      this.nodes.set(name, node);
    }
    this.onNodes();
    for (const node of this.nodes.values()) node.start(0);
    this.connectAll();
  }

  private onNodes(): void {
    this.allNodes = [...this.nodes.values()];
    this.ends = [...this.nodes.keys(), CLIENT];
  }

  // The network

  private push(from: string, to: string, message: Letter): void {
    this.links.letters(from, to)?.push(message);
  }

  send(from: string, to: string, frame: Buffer): void {
    this.push(from, to, frame);
  }

  reply(from: string, message: ToClient): void {
    this.push(from, CLIENT, message);
  }

  isLinked(from: string, to: string): boolean {
    return this.links.letters(from, to) !== undefined;
  }

  private connectAll(): boolean {
    let isChanged = false;
    for (const from of this.ends) {
      for (const to of this.ends) if (from < to) isChanged = this.connect(from, to) || isChanged;
    }
    return isChanged;
  }

  connect(from: string, to: string): boolean {
    if (this.isLinked(from, to) || !this.isThere(from) || !this.isThere(to)) return false;
    this.links.open(from, to);
    return true;
  }

  private isThere(end: string): boolean {
    return end === CLIENT || this.nodes.get(end)?.isAlive === true;
  }

  cut(from: string, to: string): boolean {
    if (!this.links.close(from, to)) return false;
    for (const [end, other] of [
      [from, to],
      [to, from],
    ] as const) {
      if (end === CLIENT) this.client.onLinkDown(other);
      else if (other === CLIENT) this.nodes.get(end)?.queue?.onLinkDown();
      else this.nodes.get(end)?.onLinkDown(other);
    }
    return true;
  }

  /** Hands over the first message of a link. */
  deliver(from: string, to: string): boolean {
    const message = this.links.letters(from, to)?.shift();
    if (message === undefined) return false;
    if (this.options.isTraced) this.trace.push(`${from}>${to} ${letterText(message)}`);
    if (Buffer.isBuffer(message)) {
      this.nodes.get(to)!.onFrame(from, message);
      message.fill(0xee);
    } else if (to === CLIENT) this.client.onMessage(message as ToClient);
    else this.nodes.get(to)!.onClient(message as FromClient);
    return true;
  }

  // The metadata

  propose(command: Command): void {
    this.proposals.push(command);
  }

  /** Applies one of the commands that are under way, in any order. */
  applyProposal(isLost = false): boolean {
    if (this.proposals.length === 0) return false;
    const index = this.hasFaults ? this.random.below(Math.min(3, this.proposals.length)) : 0;
    const [command] = this.proposals.splice(index, 1);
    if (isLost && command!.type === 'alter') {
      this.endProposal(command!);
      return true;
    }
    this.execute(command!);
    return true;
  }

  /** The first command of this type that is under way. */
  applyFirst(type: Command['type']): boolean {
    const index = this.proposals.findIndex((command) => command.type === type);
    if (index < 0) return false;
    this.execute(this.proposals.splice(index, 1)[0]!);
    checkState(this);
    return true;
  }

  /** What these can do among themselves, commands of the metadata left alone, until nothing moves. For told stories. */
  pump(ends: readonly string[]): void {
    for (let isChanged = true; isChanged; checkState(this)) {
      isChanged = false;
      for (const end of ends) {
        const node = this.nodes.get(end);
        if (node?.isAlive === true) isChanged = this.settleNode(node) || isChanged;
        for (const to of ends) while (this.deliver(end, to)) isChanged = true;
      }
      if (ends.includes(CLIENT)) isChanged = this.client.connect() || isChanged;
    }
  }

  execute(command: Command): void {
    const isAccepted = this.register.apply(command);
    this.trace.push(`${command.type} ${JSON.stringify(command)} ${isAccepted}`);
    if (!isAccepted) this.endProposal(command);
    if (isAccepted && command.type === 'promote') {
      const promoted = this.nodes.get(command.nodeId)!;
      this.truth.forget(idsOf(promoted.durable), idsOf(promoted.log!.now));
    }
  }

  private endProposal(command: Command): void {
    if (command.type !== 'alter') return;
    const leader = this.nodes.get(command.from)?.leader;
    if (leader?.epoch === command.change.epoch) leader.onProposalEnded();
  }

  /** Rule 37: those who have applied that nobody leads report; the best of them is promoted. */
  promote(): boolean {
    const { head } = this.register;
    if (head.leader !== '') return false;
    const reports = [];
    for (const node of this.alive()) {
      const isVacated = node.applied >= head.changedAt || !this.rules.has('vacate');
      const isMember = head.replicas.some((replica) => replica.nodeId === node.id);
      if (!isVacated || !isMember || node.replica === null) continue;
      if (head.nodes.get(node.id)?.incarnation !== node.incarnation) continue;
      reports.push(reportOf(node.replica, node.id, node.incarnation, head.epoch));
    }
    const best = bestReport(reports, head.epoch);
    if (best === null) return false;
    this.execute({ type: 'promote', nodeId: best.nodeId, epoch: head.epoch, incarnation: best.incarnation });
    return true;
  }

  /** The controller notices who is there and who is not. */
  private notice(): boolean {
    for (const [nodeId, row] of this.register.head.nodes) {
      const node = this.nodes.get(nodeId);
      const isHere = node?.isAlive === true && node.incarnation === row.incarnation;
      if (row.isUp === isHere) continue;
      const type = isHere ? 'up' : 'down';
      this.execute({ type, nodeId, incarnation: row.incarnation });
      return true;
    }
    return false;
  }

  // Faults

  alive(): ModelNode[] {
    return [...this.nodes.values()].filter((node) => node.isAlive);
  }

  crash(node: ModelNode, isPowerLost: boolean): void {
    node.crash(isPowerLost);
    for (const other of [...this.nodes.keys(), CLIENT]) if (other !== node.id) this.cut(node.id, other);
  }

  /** An empty disk under the same name. */
  wipe(node: ModelNode): void {
    if (node.isAlive) this.crash(node, false);
    if (!this.rules.has('diskId')) {
      node.disk = new SimReplicaState();
      node.restart();
      return;
    }
    this.nodes.delete(node.id);
    const id = `${node.id[0]}${++this.generation}`;
    const fresh = new ModelNode(this, id, 1);
    this.nodes.set(id, fresh);
    this.onNodes();
    this.register.apply({ type: 'register', nodeId: id, incarnation: 1, replaces: node.id });
    fresh.start(this.register.head.index);
  }

  private fault(): boolean {
    if (this.faults >= this.options.faultsMax) return false;
    const { random } = this;
    const isDone = this.tryFault(random.pick(this.options.faults), random.pick([...this.nodes.values()]));
    if (isDone) this.faults++;
    return isDone;
  }

  private tryFault(fault: Fault, node: ModelNode): boolean {
    const { head } = this.register;
    switch (fault) {
      case 'kill':
      case 'power':
        if (!node.isAlive) return false;
        this.trace.push(`${fault} ${node.id}`);
        this.crash(node, fault === 'power');
        return true;
      case 'cut': {
        const other = this.random.pick([...this.nodes.keys(), CLIENT]);
        if (other === node.id || !this.cut(node.id, other)) return false;
        this.trace.push(`cut ${node.id} ${other}`);
        return true;
      }
      case 'wrong-down':
        this.execute({ type: 'down', nodeId: node.id, incarnation: node.incarnation });
        return true;
      case 'wipe': {
        // One disk at most, and not the last one that holds everything.
        const isNeeded = head.inSync.includes(node.id) && head.inSync.length < 2;
        if (isNeeded || this.generation > 0 || head.inSync.some((id) => this.nodes.get(id)?.isAlive !== true))
          return false;
        this.trace.push(`wipe ${node.id}`);
        this.wipe(node);
        return true;
      }
      case 'drop':
        this.propose({ type: 'drop', nodeId: node.id });
        this.propose({ type: 'add', nodeId: node.id });
        return true;
      case 'lag':
        this.nowMs += 1500;
        for (const other of this.alive()) other.advance();
        return true;
    }
  }

  // Steps

  step(): void {
    for (let tries = 0; tries < 20; tries++) {
      if (!this.tryStep()) continue;
      checkState(this);
      return;
    }
  }

  private tryStep(): boolean {
    const { random } = this;
    const kind = random.below(100);
    const node = random.pick(this.allNodes);
    if (kind < 34) return this.stepNetwork(node);
    if (kind < 54) return this.stepDisk(node);
    if (kind < 66) return this.stepClient();
    if (kind < 76) return node.applyNext();
    if (kind < 80) return this.applyProposal(random.chance(0.15));
    if (kind < 86) return node.flush();
    if (kind < 90) return node.isAlive && node.tryJoin();
    if (kind < 92) return !node.isAlive && random.chance(0.4) && node.restart();
    if (kind < 94) return random.chance(0.3) && this.notice();
    if (kind < 95) return this.promote();
    if (kind < 97) return random.chance(0.5) && this.connectSome();
    return random.chance(0.4) && this.fault();
  }

  private stepNetwork(node: ModelNode): boolean {
    const { random } = this;
    const other = random.pick(this.ends);
    if (other === node.id) return false;
    return random.chance(0.5) ? this.deliver(node.id, other) : this.deliver(other, node.id);
  }

  private stepDisk(node: ModelNode): boolean {
    const { log } = node;
    if (log === null) return false;
    if (log.isReading && this.random.chance(0.5)) log.endRead();
    else if (log.isCommitting) {
      log.endCommit();
      if (this.options.isTraced) this.trace.push(`${node.id} has on disk up to ${log.durable.last}`);
    } else if (log.isDirty) log.startCommit();
    else return false;
    return true;
  }

  private stepClient(): boolean {
    const { client, random } = this;
    switch (random.below(6)) {
      case 0:
        if (client.publishedCount >= this.options.publishes) return false;
        client.publish(!random.chance(this.options.transientShare));
        return true;
      case 1: {
        if (client.held.size === 0) return false;
        const key = random.pick([...client.held.keys()]);
        if (random.chance(0.2)) client.requeue(key);
        else client.settle(key);
        return true;
      }
      case 2:
        if (client.view.index >= this.register.head.index) return false;
        client.view = this.register.states[client.view.index + 1]!;
        return true;
      case 3:
        return client.connect();
      default: {
        const node = random.pick(this.alive());
        return node?.queue?.deliver() === true;
      }
    }
  }

  private connectSome(): boolean {
    const from = this.random.pick(this.ends);
    const to = this.random.pick(this.ends);
    return from !== to && this.connect(from, to);
  }

  // The end

  run(): void {
    for (let i = 0; i < this.options.steps; i++) this.step();
    this.heal();
    checkAtRest(this);
    this.drain();
  }

  /** Faults end; everything goes on until nothing moves. */
  heal(): void {
    if (this.hasFaults && this.options.isOneLost) this.loseOne();
    this.hasFaults = false;
    for (const node of this.nodes.values()) if (!node.isAlive) node.restart();
    for (let round = 0; round < 400; round++) if (!this.settleRound()) return;
    throw new Violation('no rest');
  }

  private loseOne(): void {
    const leader = this.nodes.get(this.register.head.leader);
    const node = leader !== undefined && this.random.chance(0.5) ? leader : this.random.pick(this.allNodes);
    this.trace.push(`lost ${node.id}`);
    if (node.isAlive) this.crash(node, true);
    this.nodes.delete(node.id);
    this.onNodes();
  }

  /** A node that does not come back is dropped, once there is a leader who can say so. */
  private dropLost(): boolean {
    const { head } = this.register;
    const lost = head.replicas.find((replica) => !this.nodes.has(replica.nodeId));
    if (lost === undefined || head.nodes.get(head.leader)?.isUp !== true) return false;
    const { version } = head;
    this.execute({ type: 'drop', nodeId: lost.nodeId });
    return this.register.head.version !== version;
  }

  private settleRound(): boolean {
    let isChanged = this.connectAll();
    for (let count = this.proposals.length; count > 0; count--) isChanged = this.applyProposal() || isChanged;
    while (this.notice()) isChanged = true;
    for (const node of this.nodes.values()) isChanged = this.settleNode(node) || isChanged;
    isChanged = this.promote() || isChanged;
    isChanged = this.dropLost() || isChanged;
    const { head } = this.register;
    const missing = this.allNodes.find(({ id }) => !head.replicas.some((replica) => replica.nodeId === id));
    if (missing !== undefined && head.replicas.length < names.length) {
      this.execute({ type: 'add', nodeId: missing.id });
      isChanged = true;
    }
    if (this.client.view !== head) {
      this.client.view = head;
      isChanged = true;
    }
    isChanged = this.client.connect() || isChanged;
    for (const from of this.ends) {
      for (const to of this.ends) while (this.deliver(from, to)) isChanged = true;
    }
    if (!isChanged) isChanged = this.wait();
    checkState(this);
    return isChanged;
  }

  private settleNode(node: ModelNode): boolean {
    let isChanged = false;
    while (node.applyNext()) isChanged = true;
    const { log } = node;
    for (; log !== null && (log.isReading || log.isCommitting || log.isDirty); isChanged = true) {
      log.endRead();
      if (log.isCommitting) log.endCommit();
      else log.startCommit();
    }
    isChanged = node.flush() || isChanged;
    while (node.queue?.deliver() === true) isChanged = true;
    return node.tryJoin() || isChanged;
  }

  private waits = 0;

  /** Nothing moves: time passes, a few times. */
  private wait(): boolean {
    if (++this.waits > 3) return false;
    this.nowMs += 2000;
    for (const node of this.alive()) node.advance();
    return true;
  }

  /** The client acks what it holds: then nothing is left anywhere. */
  private drain(): void {
    for (let round = 0; round < 50 && this.client.held.size > 0; round++) {
      for (const key of [...this.client.held.keys()]) this.client.settle(key);
      this.waits = 0;
      this.heal();
    }
    for (const node of this.nodes.values()) {
      const left = node.log?.now.messages.size ?? 0;
      if (left > 0) throw new Violation(`${left} messages on ${node.id} after everything was acked`);
    }
  }
}
