/**
 * What the log of a replicated queue costs beside disk and network: one leader
 * and two followers in one process, messages of one turn published, stored,
 * answered, committed, and settled by one operation in the next turn. The store
 * keeps nothing. CPU of all three together, per message.
 *
 * Usage: node dist/bench/micro/replication.js [messages] [entry bytes] [messages per turn]
 */
import { FollowerLog } from '../../cluster/replication/follower-log.ts';
import { LeaderLog } from '../../cluster/replication/leader-log.ts';
import { Replica } from '../../cluster/replication/replica.ts';
import type { QueueRole } from '../../cluster/replication/role.ts';
import { PositionSet } from '../../proto/base/position-set.ts';
import { decodeFrame, ReplicationKind } from '../../proto/peer/replication-frames.ts';
import type { RecoveredReplica, ReplicaLog, ReplicaLogListener } from '../../storage/replica-store.ts';

const [messages = 1_000_000, entryBytes = 128, perTurn = 64] = process.argv.slice(2).map(Number);
const TAIL_BYTES_MAX = 4 * 1024 * 1024;

/** Says that everything is stored when it is asked to. */
class NoStore implements ReplicaLog {
  readonly recovered: RecoveredReplica = {
    ...{ last: -1, history: [], watermark: -1, operations: [], publishers: [] },
    ...{ holes: new PositionSet(), sync: null },
  };
  private readonly listener: ReplicaLogListener;
  private last = -1;

  constructor(listener: ReplicaLogListener) {
    this.listener = listener;
  }

  sync(): void {
    this.listener.onStored(this.last);
  }

  append(operation: { readonly position: number }): void {
    this.last = operation.position;
  }

  commit(): void {}
  settle(): void {}
  countDeliveries(): void {}
  trimHistory(): void {}
  truncate(): void {}
  startSync(): void {}
  insert(): void {}
  strike(): void {}
  endSync(): void {}
  read(): void {}
  remove(): void {}

  isLive(): boolean {
    return true;
  }

  live(): PositionSet {
    return new PositionSet();
  }

  counts(): readonly [] {
    return [];
  }
}

const nodeIds = ['a', 'b', 'c'];
const role: QueueRole = {
  ...{ epoch: 1, leader: 'a', version: 1, inSync: nodeIds, marked: [], minInSync: 2, isUncleanAllowed: false },
  ...{ changedAt: 1, metadataIndex: 1 },
  replicas: nodeIds.map((nodeId) => ({ nodeId, assignment: 1, incarnation: 1, isDisc: true })),
};

function replica(): Replica {
  return new Replica(1, { open: (_queueId, listener) => new NoStore(listener) }, TAIL_BYTES_MAX);
}

const toFollowers = new Map<string, Buffer[]>(nodeIds.map((nodeId) => [nodeId, []]));
const toLeader: { readonly from: string; readonly frame: Buffer }[] = [];
let committed = -1;
let frames = 0;
const leader = new LeaderLog(
  'a',
  replica(),
  role,
  {
    send: (nodeId, frame) => toFollowers.get(nodeId)!.push(frame),
    canSend: () => true,
    propose: () => {},
    isLeaseValid: () => true,
    onCommitted: (watermark) => {
      committed = watermark;
    },
    wake: () => {},
  },
  { replicaLagMaxMs: 2000 },
  0,
);
const followers = ['b', 'c'].map((nodeId) => {
  const output = {
    send: (frame: Buffer) => toLeader.push({ from: nodeId, frame }),
    onRefused: (reason: string) => {
      throw new Error(reason);
    },
    onLoss: () => {},
  };
  const follower = new FollowerLog(replica(), role, { incarnation: 1, assignment: 1 }, output);
  follower.join(1);
  return { nodeId, follower };
});

function exchange(): void {
  leader.flush();
  (leader.replica.log as NoStore).sync();
  for (const { nodeId, follower } of followers) {
    const waiting = toFollowers.get(nodeId)!;
    for (const frame of waiting) {
      frames++;
      const read = decodeFrame(frame);
      if (read.kind === ReplicationKind.batch) follower.onBatch(read);
      else if (read.kind === ReplicationKind.cut) follower.onCut(read);
    }
    waiting.length = 0;
    (follower.replica.log as NoStore).sync();
  }
  for (const { from, frame } of toLeader) {
    frames++;
    const read = decodeFrame(frame);
    if (read.kind === ReplicationKind.stored) leader.onStoredAnswer(from, read);
    else if (read.kind === ReplicationKind.join) leader.onJoin(from, read);
  }
  toLeader.length = 0;
}

exchange();
exchange();
const entry = Buffer.alloc(entryBytes, 7);
const startedAt = process.cpuUsage();
let first = -1;
for (let published = 0; published < messages; published += perTurn) {
  if (first >= 0) leader.settle(true, [first, first + perTurn - 1]);
  first = leader.nextPosition;
  for (let i = 0; i < perTurn; i++) leader.publish(true, 9, published + i + 1, entry);
  exchange();
}
exchange();
const { user, system } = process.cpuUsage(startedAt);
const ns = ((user + system) * 1000) / messages;
if (committed !== leader.replica.last) throw new Error(`committed ${committed} of ${leader.replica.last}`);
console.log(
  `${messages} messages of ${entryBytes} bytes, ${perTurn} per turn: ${ns.toFixed(0)} ns each, ${frames} frames`,
);
