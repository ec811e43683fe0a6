/**
 * Builders for storage tests: messages with meaningful defaults, a turn that
 * runs by hand, and a queue listener that remembers what it was told.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TurnQueue } from '../../proto/base/turn-queue.ts';
import { Address } from '../../proto/entry/address.ts';
import { Message, NO_KEYS, NO_PARTS } from '../../proto/entry/message.ts';
import { QueuedMessage } from '../../proto/entry/queued-message.ts';
import type { DatabaseOptions, SpaceWatch } from '../../storage/database.ts';
import type { LogBarrier, MessageStoreEvents, QueueLog, QueueLogListener } from '../../storage/message-store.ts';

export const ADDRESS = new Address('orders', 'eu.de');
export const DATABASE_OPTIONS: DatabaseOptions = {
  name: 'messages',
  writeBufferBytes: 1024 * 1024,
  acceptDamage: false,
  onLoss() {},
};

export interface ItemOptions {
  readonly body?: Buffer;
  readonly lane?: number;
  readonly isPersistent?: boolean;
  readonly epoch?: number;
}

export function queued(position: number, options: ItemOptions = {}): QueuedMessage {
  const { body = Buffer.from(`body ${position}`), lane = 0, isPersistent = true, epoch = 1 } = options;
  const bytes = Buffer.concat([Buffer.from([0, 0]), body]);
  const message = new Message(
    ADDRESS,
    NO_KEYS,
    isPersistent,
    -1,
    -1,
    bytes,
    0,
    2,
    2,
    bytes.length,
    NO_PARTS,
    body.length,
    false,
  );
  return new QueuedMessage(epoch, position, message, lane, isPersistent, body.length, 1_700_000_000_000, 0);
}

export interface ReadAnswer {
  readonly items: QueuedMessage[];
  readonly isEnd: boolean;
}

export class Listener implements QueueLogListener, LogBarrier {
  stored: number[] = [];
  paged: QueuedMessage[] = [];
  readonly answers: ReadAnswer[] = [];
  readonly barriers: number[] = [];
  handedOut = 0;

  onStored(position: number): void {
    this.stored.push(position);
  }

  onRead(_lane: number, items: QueuedMessage[], isEnd: boolean): void {
    this.answers.push({ items, isEnd });
  }

  handedOutBelow(): number {
    return this.handedOut;
  }

  onPaged(items: readonly QueuedMessage[]): void {
    this.paged.push(...items);
  }

  onBarrier(token: number): void {
    this.barriers.push(token);
  }

  get lastStored(): number {
    return this.stored.at(-1) ?? -1;
  }
}

export class Events implements MessageStoreEvents {
  readonly fatal: Error[] = [];
  noSpace = 0;
  spaceBack = 0;

  onFatal(error: Error): void {
    this.fatal.push(error);
  }

  onNoSpace(): void {
    this.noSpace++;
  }

  onSpaceBack(): void {
    this.spaceBack++;
  }
}

/** A disk that is never full, or full for as long as the test says. */
export class Space implements SpaceWatch {
  reserved = true;
  back: (() => void) | null = null;
  writable: (() => void) | null = null;
  private readonly everySeconds = new Set<() => void>();

  release(): void {
    this.reserved = false;
  }

  whenWritable(back: () => void): void {
    this.writable = back;
  }

  whenSpaceBack(back: () => void): void {
    this.back = back;
  }

  reserve(done: () => void): void {
    this.reserved = true;
    done();
  }

  everySecond(run: () => void): () => void {
    this.everySeconds.add(run);
    return () => this.everySeconds.delete(run);
  }

  second(): void {
    for (const run of [...this.everySeconds]) run();
  }

  stop(): void {
    this.writable = null;
    this.back = null;
  }
}

export function turnQueue(): TurnQueue {
  return new TurnQueue((run) => {
    setImmediate(run);
  });
}

/** Lets the event loop go round until `condition` holds. Bounded, so that a test fails instead of hanging. */
export async function until(condition: () => boolean, what = 'condition'): Promise<void> {
  for (let turns = 0; turns < 200_000; turns++) {
    if (condition()) return;
    await nextTurn();
  }
  throw new Error(`${what}: not reached`);
}

/** Resolves once everything given to `log` is on disk. */
export async function settledDown(log: QueueLog, listener: Listener): Promise<void> {
  const token = listener.barriers.length + 1_000_000;
  log.barrier(listener, token);
  await until(() => listener.barriers.includes(token), 'barrier');
}

export async function readLane(
  log: QueueLog,
  listener: Listener,
  lane = 0,
  from = 0,
  untilPosition = Number.MAX_SAFE_INTEGER,
  maxCount = 1000,
  maxBytes = 1024 * 1024,
): Promise<ReadAnswer> {
  const before = listener.answers.length;
  log.read(lane, from, Math.min(untilPosition, 2 ** 48 - 1), maxCount, maxBytes);
  await until(() => listener.answers.length > before, 'read');
  return listener.answers.at(-1)!;
}

/** Reads a whole lane, page by page. */
export async function readWhole(log: QueueLog, listener: Listener, lane = 0, maxCount = 100): Promise<QueuedMessage[]> {
  const all: QueuedMessage[] = [];
  let from = 0;
  for (;;) {
    const { items, isEnd } = await readLane(log, listener, lane, from, undefined, maxCount);
    all.push(...items);
    if (isEnd) return all;
    if (items.length === 0) throw new Error(`a read from ${from} gave nothing and is not the end`);
    from = items.at(-1)!.position + 1;
  }
}

export function positions(items: readonly QueuedMessage[]): number[] {
  return items.map((item) => item.position);
}
