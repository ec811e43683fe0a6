/**
 * A node of the model: applies the metadata one state after the other, takes
 * the role they give it with the classes of cluster/replication, and crashes.
 */
import { FollowerLog } from '../../../../cluster/replication/follower-log.ts';
import { LeaderLog } from '../../../../cluster/replication/leader-log.ts';
import { Replica } from '../../../../cluster/replication/replica.ts';
import { WaitingJoins } from '../../../../cluster/replication/waiting-joins.ts';
import { decodeFrame, encodeFrame, ReplicationKind } from '../../../../proto/peer/replication-frames.ts';
import { SimReplicaLog, SimReplicaState } from '../../../../storage/sim-replica-store.ts';
import type { Checked } from './checks.ts';
import type { FromClient } from './client.ts';
import { ModelQueue } from './queue.ts';
import { type Metadata, roleOf } from './register.ts';
import type { World } from './world.ts';

export const QUEUE_ID = 1;
const LAG_MAX_MS = 1000;

export class ModelNode {
  readonly id: string;
  private readonly world: World;
  isAlive = false;
  incarnation: number;
  /** Index of the metadata applied. */
  applied = 0;
  replica: Replica | null = null;
  leader: LeaderLog | null = null;
  follower: FollowerLog | null = null;
  queue: ModelQueue | null = null;
  isWoken = false;
  readonly checked: Checked = { durable: null, facts: -1, messages: -1 };
  // What a restart finds.
  disk = new SimReplicaState();
  assignment = -1;
  private diskApplied = 0;
  private session = 0;
  private waiting = new WaitingJoins();

  constructor(world: World, id: string, incarnation: number) {
    this.world = world;
    this.id = id;
    this.incarnation = incarnation;
  }

  get log(): SimReplicaLog | null {
    return this.replica === null ? null : (this.replica.log as SimReplicaLog);
  }

  /** What a power failure would leave now. */
  get durable(): SimReplicaState {
    return this.log === null || !this.isAlive ? this.disk : this.log.durable;
  }

  start(applied: number): void {
    this.isAlive = true;
    this.checked.messages = -1;
    this.session = 0;
    this.waiting = new WaitingJoins();
    this.applied = applied;
    this.diskApplied = applied;
    this.onMetadata(this.world.register.states[applied]!);
  }

  crash(isPowerLost: boolean): void {
    if (this.log !== null) this.disk = this.log.crash(isPowerLost, this.world.random.chance(0.5));
    if (!this.world.rules.has('diffMark')) this.disk.wanted = null;
    this.isAlive = false;
    this.replica = null;
    this.leader = null;
    this.follower = null;
    this.queue = null;
    this.isWoken = false;
    this.world.truth.crashes++;
  }

  restart(): boolean {
    this.incarnation++;
    const { register, random } = this.world;
    const back = random.below(4);
    this.world.propose({ type: 'register', nodeId: this.id, incarnation: this.incarnation, replaces: null });
    this.start(Math.min(Math.max(0, this.diskApplied - back), register.head.index));
    return true;
  }

  /** @returns false when everything is applied */
  applyNext(): boolean {
    if (!this.isAlive || this.applied >= this.world.register.head.index) return false;
    this.applied++;
    this.diskApplied = this.applied;
    this.onMetadata(this.world.register.states[this.applied]!);
    return true;
  }

  private onMetadata(metadata: Metadata): void {
    const row = metadata.nodes.get(this.id);
    const isRegistered =
      row !== undefined && (row.incarnation === this.incarnation || !this.world.rules.has('waitReg'));
    const member = metadata.replicas.find((replica) => replica.nodeId === this.id);
    if (!isRegistered) this.endRoles();
    else if (member === undefined) this.removeReplica();
    else this.takeRole(metadata, member.assignment);
    for (const { nodeId, join } of this.waiting.ready(this.applied)) this.onJoin(nodeId, join);
  }

  private endRoles(): void {
    this.leader?.stop();
    this.follower?.stop();
    this.leader = null;
    this.follower = null;
    this.queue = null;
  }

  /** Rule 15: sessions end first, then the data goes. */
  private removeReplica(): void {
    this.endRoles();
    this.log?.remove();
    this.replica = null;
    this.disk = new SimReplicaState();
    this.assignment = -1;
  }

  private takeRole(metadata: Metadata, assignment: number): void {
    if (this.assignment !== assignment) {
      this.removeReplica();
      this.assignment = assignment;
    }
    const replica = (this.replica ??= this.open());
    const role = this.world.rules.onRole(roleOf(metadata, this.world.options));
    if (metadata.leader === this.id) {
      if (this.leader?.epoch === role.epoch) this.leader.onRole(role);
      else this.lead(replica, role);
    } else if (this.follower?.epoch === role.epoch) this.follower.onMetadataIndex(role.metadataIndex);
    else {
      this.endRoles();
      this.follower = new FollowerLog(
        replica,
        role,
        { incarnation: this.incarnation, assignment },
        {
          send: (frame) => this.world.send(this.id, metadata.leader, frame),
          onRefused: () => {},
          onLoss: () => {},
        },
      );
      this.world.rules.plantFollower(this.follower);
    }
  }

  private open(): Replica {
    const store = { open: (_id: number, listener: Replica) => new SimReplicaLog(listener, this.disk) };
    const replica = new Replica(QUEUE_ID, store as never, this.world.options.tailBytesMax);
    this.world.rules.plantReplica(replica);
    this.world.rules.plantLog(replica.log as SimReplicaLog);
    return replica;
  }

  private lead(replica: Replica, role: ReturnType<typeof roleOf>): void {
    this.endRoles();
    const { world } = this;
    world.truth.onLeader(role.epoch, this.id, this.incarnation);
    if (!world.rules.has('dropTr')) replica.holes.clear();
    const leader = new LeaderLog(
      this.id,
      replica,
      role,
      {
        send: (nodeId, frame) => world.send(this.id, nodeId, frame),
        canSend: () => true,
        propose: (change) => world.propose({ type: 'alter', from: this.id, change }),
        isLeaseValid: () => !world.rules.has('lease') || world.register.head.epoch === role.epoch,
        onCommitted: (watermark) => this.queue?.onCommitted(watermark),
        wake: () => {
          this.isWoken = true;
        },
      },
      { replicaLagMaxMs: LAG_MAX_MS },
      world.nowMs,
    );
    this.leader = leader;
    world.rules.plantLeader(leader);
    this.queue = new ModelQueue(leader, {
      truth: world.truth,
      has: (rule) => world.rules.has(rule as never),
      reply: (message) => world.reply(this.id, message),
    });
  }

  flush(): boolean {
    if (!this.isWoken) return false;
    this.isWoken = false;
    this.leader?.flush();
    return true;
  }

  advance(): void {
    this.leader?.advance(this.world.nowMs);
    if (this.leader?.mayConfirm === true) this.queue?.onCommitted(this.leader.watermark);
  }

  /** There is a link to the leader, and this replica does not follow it. */
  tryJoin(): boolean {
    if (this.follower === null || !this.follower.isIdle) return false;
    const { leader } = this.world.register.states[this.applied]!;
    if (leader === '' || !this.world.isLinked(this.id, leader)) return false;
    this.follower.join(++this.session);
    return true;
  }

  onLinkDown(nodeId: string): void {
    if (!this.isAlive) return;
    this.waiting.onLinkDown(nodeId);
    this.leader?.onLinkDown(nodeId);
    if (this.world.register.states[this.applied]!.leader === nodeId) this.follower?.onLinkDown();
  }

  onFrame(from: string, bytes: Buffer): void {
    const frame = this.world.rules.onFrame(decodeFrame(bytes));
    switch (frame.kind) {
      case ReplicationKind.join:
        if (!this.waiting.hold(from, frame, this.applied)) this.onJoin(from, frame);
        return;
      case ReplicationKind.stored:
        this.leader?.onStoredAnswer(from, frame);
        return;
      case ReplicationKind.fetch:
        this.leader?.onFetch(from, frame);
        return;
      case ReplicationKind.refused:
        this.follower?.onRefused(frame);
        return;
      case ReplicationKind.cut:
        this.follower?.onCut(frame);
        return;
      case ReplicationKind.sync:
        this.follower?.onSync(frame);
        return;
      case ReplicationKind.batch:
        this.follower?.onBatch(frame);
        return;
      case ReplicationKind.bodies:
        this.follower?.onBodies(frame);
    }
  }

  private onJoin(from: string, join: Parameters<LeaderLog['onJoin']>[1]): void {
    if (this.leader !== null) {
      this.leader.onJoin(from, join);
      return;
    }
    const { queueId, epoch, session } = join;
    const kind = ReplicationKind.refused;
    this.world.send(this.id, from, encodeFrame({ kind, queueId, epoch, session, reason: 'not the leader' }));
  }

  onClient(message: FromClient): void {
    if (this.queue === null || this.leader?.epoch !== message.leaderEpoch) {
      this.world.reply(this.id, { type: 'moved', subscription: message.subscription });
    } else this.queue.onMessage(message);
  }
}
