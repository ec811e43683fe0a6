/**
 * Goal: what was promised (a confirm, commit-ok, declare-ok, bind-ok, delete-ok)
 * waited for the disk, so that it survives a power failure and not only the end
 * of the process; and what a power failure tears is not reported as damage.
 *
 * Method: below a real broker a layer notes which bytes of which file were
 * synced. At a random moment, or just when LevelDB changes its write-ahead log,
 * the process is killed and its files lose what was not synced: all of it, or all
 * but a random beginning, followed by nothing, zeros, garbage or half of the
 * pages. Names of files that were changed after the last sync may change back.
 * The broker starts on what is left, now and then only to have the plug pulled
 * while it does, and the books are compared.
 *
 * That this would notice a promise given too early is tested too, with a broker
 * that only pretends to sync.
 *
 * Rounds: WARREN_TEST_PLUG_ROUNDS (15).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PluggedNode, type Pulled } from '../support/power/plugged-node.ts';
import { TEARS, type Tear } from '../support/power/power-cut.ts';
import { connect } from '../support/raw-client/connect.ts';
import { PlugBook } from './plug-book.ts';
import { checkBindings, checkExistence, checkMessages } from './plug-check.ts';
import { declarations, emptier, publisher, transactions, transientFlood, untilGone, type Work } from './plug-load.ts';

const ROUNDS = Number(process.env['WARREN_TEST_PLUG_ROUNDS'] ?? 15);
/** A liar is caught in the first rounds or not at all. */
const LIAR_ROUNDS = 5;
const PROMISES_PER_ROUND_MAX = 400;
const QUIET_PROMISES_PER_ROUND_MAX = 30;
/** After a number of promises, and after a new write-ahead log was seen. */
const JITTER_MS_MAX = 25;
const NEW_LOG_JITTER_MS_MAX = 60;
/** Of rounds in which the plug is pulled just after a new write-ahead log was begun, if one is. */
const NEW_LOG_SHARE = 0.5;
const NEW_LOG_WITHIN_MS = 1500;
const PULLED_AT_START_SHARE = 0.4;
const START_MS_MAX = 500;
/** Transient messages beyond it are written, and never synced. */
const SETTINGS = { 'warren.queue_window_bytes': '1MB' };

const whyNot = process.env['WARREN_ORACLE'] === '1' ? 'the files of the original are not ours to cut' : false;

test(`every promise survives ${ROUNDS} power failures, and nothing is taken for damage`, {
  skip: whyNot,
}, async (t) => {
  const world = new World(new PluggedNode({ settings: SETTINGS }));
  t.after(() => world.node.remove());
  for (let round = 0; round < ROUNDS; round += 1) {
    const tear = TEARS[round % TEARS.length]!;
    if (Math.random() < PULLED_AT_START_SHARE) await world.pullAtStart(tear);
    await world.startAndCheck();
    await world.loadAndPull(tear);
  }
  await world.startAndCheck();
  t.diagnostic(world.summary());
  if (ROUNDS >= 10) assert.ok(world.looseBytes > 0, 'no round had unsynced bytes to lose');
});

for (const [unsynced, loss] of [
  ['messages', /confirmed messages are lost/],
  ['raft', /was declared and is lost|was deleted and came back|are gone|nothing starts without it/],
] as const) {
  test(`a broker that only pretends to sync its ${unsynced} is caught`, { skip: whyNot }, async (t) => {
    const world = new World(new PluggedNode({ settings: SETTINGS }));
    t.after(() => world.node.remove());
    await world.startAndCheck(); // honestly: an empty directory has nothing to lose
    await world.loadAndPull('nothing');
    world.node.unsynced = unsynced;
    await assert.rejects(async () => {
      for (let round = 0; round < LIAR_ROUNDS; round += 1) {
        await world.startAndCheck();
        await world.loadAndPull('nothing');
      }
      await world.startAndCheck();
    }, loss);
  });
}

/** A broker, its clients' books, and what happened so far. */
class World {
  readonly node: PluggedNode;
  looseBytes = 0;
  private readonly books = ['small', 'large', 'consumed', 'transacted', 'purged', 'reborn'].map(
    (queue) => new PlugBook(queue),
  );
  private readonly quorum = new PlugBook('quorum', { 'x-queue-type': 'quorum' });
  private readonly declared = new Map<string, PlugBook>();
  private declarations = 0;
  private readonly pulls: Pulled[] = [];
  private promises = 0;
  private newLogs = 0;
  private pullsAtStart = 0;

  constructor(node: PluggedNode) {
    this.node = node;
    this.books.push(this.quorum);
  }

  summary(): string {
    const sum = (of: (pulled: Pulled) => number): number => this.pulls.reduce((total, pulled) => total + of(pulled), 0);
    const olderLogs = this.pulls.filter(({ isOlderLogCut }) => isOlderLogCut).length;
    const withBytes = this.pulls.filter(({ looseBytes }) => looseBytes > 0).length;
    return (
      `layer: ${this.node.layer.name}; ${this.pulls.length} pulls, ${this.newLogs} at a new write-ahead log, ` +
      `${this.pullsAtStart} while it started, ` +
      `${withBytes} with unsynced bytes (${this.looseBytes} in all; ${olderLogs} times in a log that was not the last), ` +
      `${sum(({ looseChanges }) => looseChanges)} unsynced names; ${sum(({ syncs }) => syncs)} syncs, ` +
      `${this.promises} promises kept`
    );
  }

  async startAndCheck(): Promise<void> {
    await this.node.start();
    const connection = await connect(this.node.address);
    const channel = await connection.openChannel();
    await checkExistence(channel, [...this.books, ...this.declared.values()]);
    for (const book of this.books) if (book.existence === 'there') await checkMessages(channel, book);
    await checkBindings(channel, this.declared.values());
    for (const book of [...this.declared.values()]) if (book.existence === 'gone') this.declared.delete(book.queue);
    await connection.close();
    assert.doesNotMatch(this.node.output, /damage|"level":"error"|\berror\b/i);
  }

  async pullAtStart(tear: Tear): Promise<void> {
    this.pullsAtStart += 1;
    this.note(await this.node.pullAtStart(Math.random() * START_MS_MAX, tear));
  }

  private note(pulled: Pulled): void {
    this.pulls.push(pulled);
    this.looseBytes += pulled.looseBytes;
  }

  /** @param tear what is left of unsynced bytes */
  async loadAndPull(tear: Tear): Promise<void> {
    const isBusy = this.pulls.length % 2 === 0;
    const promisesMax = isBusy ? PROMISES_PER_ROUND_MAX : QUIET_PROMISES_PER_ROUND_MAX;
    const pullAt = this.promises + 1 + Math.floor(Math.random() * promisesMax);
    let enough: () => void = () => {};
    const isEnough = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const clients = this.work(isBusy, () => {
      this.promises += 1;
      if (this.promises === pullAt) enough();
    }).map((work) => untilGone(this.node.address, work));
    const failed = Promise.race(clients.map((client) => client.then(() => new Promise<never>(() => {}))));
    await Promise.race([isEnough, failed]);
    const isAtNewLog = Math.random() < NEW_LOG_SHARE;
    if (isAtNewLog) await Promise.race([this.untilNewLog(), failed]);
    await delay(Math.random() * (isAtNewLog ? NEW_LOG_JITTER_MS_MAX : JITTER_MS_MAX));
    this.note(await this.node.pull(tear));
    await Promise.all(clients);
  }

  private async untilNewLog(): Promise<void> {
    const giveUp = AbortSignal.timeout(NEW_LOG_WITHIN_MS);
    await this.node.untilNewLog(giveUp);
    if (!giveUp.aborted) this.newLogs += 1;
  }

  /** Many clients: most commits are synced, and large. Or few: most hold nothing that anybody waits for. */
  private work(isBusy: boolean, onPromise: () => void): readonly Work[] {
    const [small, large, consumed, transacted, purged, reborn] = this.books;
    const newBook = (): PlugBook => new PlugBook(`declared-${(this.declarations += 1)}`);
    if (!isBusy) {
      return [
        publisher(small!, { window: 1, bodyBytesMax: 2000, thinkMsMax: 10, onPromise }),
        publisher(consumed!, { window: 1, bodyBytesMax: 500, thinkMsMax: 20, consumes: true, onPromise }),
        transientFlood('flooded'),
      ];
    }
    return [
      publisher(small!, { window: 50, bodyBytesMax: 2000, onPromise }),
      publisher(large!, { window: 2, bodyBytesMax: 200_000, consumes: true, onPromise }),
      publisher(consumed!, { window: 100, bodyBytesMax: 500, consumes: true, onPromise }),
      publisher(this.quorum, { window: 20, bodyBytesMax: 1000, onPromise }),
      transactions(transacted!, onPromise),
      emptier(purged!, 'queue.purge', onPromise),
      emptier(reborn!, 'queue.delete', onPromise),
      declarations(this.declared, newBook, onPromise),
      transientFlood('flooded'),
    ];
  }
}
