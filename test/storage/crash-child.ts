/**
 * The process that `kill.test` kills: appends and settles as fast as the disk
 * takes it, and says on standard output what it was told is stored, one line
 * per commit: `<stored position> <all settled up to>`.
 */
import { writeSync } from 'node:fs';
import type { QueuedMessage } from '../../proto/entry/queued-message.ts';
import { LevelDatabase } from '../../storage/level-database.ts';
import { LevelMessageStore } from '../../storage/level-message-store.ts';
import type { QueueLog, QueueLogListener } from '../../storage/message-store.ts';
import { DATABASE_OPTIONS, queued, Space, turnQueue } from './support.ts';

const WRITE_BUFFER_BYTES = 256 * 1024;
const PER_COMMIT = 40;
const SETTLED_BEHIND = 400;
/** Space is given back all the time, so that kills fall into that too. */
const COMMITS_PER_LOOK = 5;

class Worker implements QueueLogListener {
  log: QueueLog | null = null;
  private next: number;
  private readonly items: QueuedMessage[] = [];
  private settledTo = -1;
  private settling = -1;
  private commits = 0;

  constructor(next: number) {
    this.next = next;
  }

  onStored(position: number): void {
    writeSync(1, `${position} ${this.settling}\n`);
    this.settling = this.settledTo;
    if (++this.commits % COMMITS_PER_LOOK === 0) void store.reclaimer.look();
    this.more();
  }

  onRead(): void {}
  handedOutBelow(): number {
    return 0;
  }
  onPaged(): void {}

  more(): void {
    for (let i = 0; i < PER_COMMIT; i++) {
      const item = queued(this.next++, { body: Buffer.alloc(50 + (this.next % 700), this.next & 255) });
      this.items.push(item);
      this.log!.append(item);
    }
    while (this.items.length > SETTLED_BEHIND) {
      const item = this.items.shift()!;
      if (item.position % 10 === 0) continue; // some stay for ever: their records are rewritten
      this.log!.settle(item);
      this.settledTo = item.position;
    }
  }
}

const path = process.argv[2]!;
const kv = await LevelDatabase.open(path, { writeBufferBytes: WRITE_BUFFER_BYTES, createIfMissing: true });
const fail = (error: Error): void => {
  throw error;
};
const events = { onFatal: fail, onNoSpace: fail, onSpaceBack() {} };
const options = { ...DATABASE_OPTIONS, writeBufferBytes: WRITE_BUFFER_BYTES };
const store = await LevelMessageStore.open(kv, turnQueue(), events, new Space(), options);
const worker = new Worker(Number(process.argv[3]));
worker.log = store.open(1, Number(process.argv[4]), worker);
worker.more();
