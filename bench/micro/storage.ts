/**
 * What storing messages costs: packed commits of 100 x 1 KiB, synced, on
 * LevelDB; and settling them again in order.
 *
 * node dist/bench/micro/storage.js [commits]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TurnQueue } from '../../proto/base/turn-queue.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../proto/entry/message.ts';
import { QueuedMessage } from '../../proto/entry/queued-message.ts';
import type { SpaceWatch } from '../../storage/database.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import type { QueueLog, QueueLogListener } from '../../storage/message-store.ts';

const PER_COMMIT = 100;
const BODY_BYTES = 1024;
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
const SETTLED_BEHIND = 1000;

const NEVER_FULL: SpaceWatch = {
  release() {},
  whenWritable() {},
  whenSpaceBack() {},
  reserve() {},
  everySecond: () => () => {},
  stop() {},
};

/** Hands in the next commit's messages as soon as the last are stored. */
class Writer implements QueueLogListener {
  log: QueueLog | null = null;
  private readonly items: QueuedMessage[] = [];
  private position = 0;
  private commitsLeft: number;
  private readonly settles: boolean;
  private readonly done: () => void;
  private readonly content = Buffer.alloc(BODY_BYTES + 2, 'x');
  private readonly address = new Address('', 'orders');

  constructor(commits: number, settles: boolean, done: () => void) {
    this.commitsLeft = commits;
    this.settles = settles;
    this.done = done;
  }

  onStored(): void {
    if (this.commitsLeft-- === 0) {
      this.done();
      return;
    }
    this.next();
  }

  onRead(): void {}
  handedOutBelow(): number {
    return 0;
  }
  onPaged(): void {}

  next(): void {
    for (let i = 0; i < PER_COMMIT; i++) {
      const { content, address } = this;
      const end = content.length;
      const message = new Message(address, NO_KEYS, true, -1, -1, content, 0, 2, 2, end, NO_PARTS, BODY_BYTES, false);
      const item = new QueuedMessage(1, this.position++, message, 0, true, BODY_BYTES, 1_700_000_000_000, 0);
      this.log!.append(item);
      if (this.settles) this.items.push(item);
    }
    if (this.items.length <= SETTLED_BEHIND) return;
    for (const item of this.items.splice(0, PER_COMMIT)) this.log!.settle(item);
  }
}

async function measure(name: string, commits: number, settles: boolean): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'warren-bench-'));
  const kv = await LevelDatabase.open(path, { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: true });
  const turn = new TurnQueue((run) => {
    setImmediate(run);
  });
  const fail = (error: Error): void => {
    throw error;
  };
  const events = { onFatal: fail, onNoSpace: fail, onSpaceBack() {} };
  const options = { name: 'bench', writeBufferBytes: WRITE_BUFFER_BYTES, acceptDamage: false, onLoss() {} };
  const store = await LevelMessageStore.open(kv, turn, events, NEVER_FULL, options);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await new Promise<void>((resolve) => {
    const writer = new Writer(commits, settles, resolve);
    writer.log = store.open(1, 1, writer);
    writer.next();
  });
  const elapsedMs = performance.now() - start;
  const used = process.cpuUsage(cpu);
  const messages = commits * PER_COMMIT;
  const cpuUs = (used.user + used.system) / messages;
  const perSecond = Math.round((messages / elapsedMs) * 1000);
  const rssMib = Math.round(process.memoryUsage.rss() / 1024 / 1024);
  process.stdout.write(`${name}: ${perSecond} messages/s, ${cpuUs.toFixed(2)} us CPU per message, RSS ${rssMib} MiB\n`);
  await store.close();
  await rm(path, { recursive: true });
}

const commits = Number(process.argv[2] ?? 500);
await measure(`append ${PER_COMMIT} x ${BODY_BYTES} B per commit, synced`, commits, false);
await measure('the same, and settled 1,000 behind', commits, true);
