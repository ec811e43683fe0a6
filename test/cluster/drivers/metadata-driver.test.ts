/**
 * The metadata of a node as its broker sees it: propose and await, over a store
 * in memory. Real event loop, no time: ticks are called by the tests.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMAND_CHARS_MAX, MetadataDriver } from '../../../cluster/drivers/metadata-driver.ts';
import type { Command } from '../../../cluster/metadata/commands.ts';
import type { Change } from '../../../cluster/metadata/definitions.ts';
import { rowKey } from '../../../cluster/metadata/definitions.ts';
import { MetadataUnavailable } from '../../../cluster/metadata-client.ts';
import { TurnQueue } from '../../../proto/base/turn-queue.ts';
import {
  declareBinding,
  declareExchange,
  declareQueue,
  deleteExchange,
  deleteQueue,
  NODE_ID,
  node,
  putVhost,
  queue,
} from '../builders.ts';
import { SimDisk, SimRaftStore } from '../sim-raft-store.ts';

class Node {
  readonly store: SimRaftStore;
  readonly driver: MetadataDriver;
  readonly told: { readonly changes: readonly Change[]; readonly index: number }[] = [];
  readonly fatal: Error[] = [];
  tick: () => void = () => {};
  isTicking = false;

  constructor(disk: SimDisk, incarnation: number, defaults: readonly Command[] = [putVhost()]) {
    this.store = new SimRaftStore(disk, setImmediate);
    this.driver = new MetadataDriver({
      node: node({ incarnation }),
      founding: { clusterId: 'cluster-1', name: 'rabbit@one', defaults },
      store: this.store,
      turn: new TurnQueue(setImmediate),
      timers: {
        every: (_intervalMs, run) => {
          this.tick = run;
          this.isTicking = true;
          return () => {
            this.isTicking = false;
          };
        },
      },
      random: () => 0.5,
      events: { onFatal: (error) => this.fatal.push(error), onLeader() {}, onMessage() {}, log() {} },
    });
    this.driver.subscribe({ onChanges: (changes, index) => this.told.push({ changes, index }) });
  }

  kill(): void {
    this.store.kill();
  }
}

async function started(disk: SimDisk, incarnation = 1): Promise<Node> {
  const started = new Node(disk, incarnation);
  await started.driver.start();
  return started;
}

test('a new node founds its cluster and registers before start resolves', async () => {
  const { driver, told } = await started(new SimDisk());
  assert.deepEqual([...driver.view.rows('cluster')], [{ clusterId: 'cluster-1', name: 'rabbit@one' }]);
  assert.deepEqual([...driver.view.rows('nodes')], [node()]);
  assert.equal(driver.view.get('vhosts', '/')?.name, '/');
  assert.deepEqual(
    told.map(({ changes }) => changes[0]?.table),
    ['cluster', 'nodes'],
  );
  assert.equal(driver.status?.leader, NODE_ID);
});

test('a reply comes after the listeners have seen the changes', async () => {
  const { driver, told } = await started(new SimDisk());
  const reply = await driver.propose(declareQueue());
  assert.equal(reply.type, 'created');
  const last = told.at(-1);
  assert.deepEqual(
    last?.changes.map(({ table, key, before }) => ({ table, key, before })),
    [{ table: 'queues', key: rowKey('/', 'q'), before: null }],
  );
  assert.equal(last?.index, driver.appliedIndex);
  assert.deepEqual(await driver.propose(declareQueue()), {
    type: 'exists',
    existing: queue({ id: driver.appliedIndex - 1, leader: NODE_ID, epoch: 1 }),
  });
});

test('what was answered is there after a power failure, transient things and the old epoch are not', async () => {
  const disk = new SimDisk();
  const first = await started(disk, 1);
  await first.driver.propose(declareExchange());
  const owner = { nodeId: NODE_ID, incarnation: 1, connectionId: 'c' };
  await Promise.all([
    first.driver.propose(declareQueue()),
    first.driver.propose(declareBinding()),
    first.driver.propose(declareQueue({ name: 'exclusive', isExclusive: true, owner })),
  ]);
  first.kill();
  disk.losePower(0);
  const second = await started(disk, 2);
  assert.deepEqual(
    [...second.driver.view.rows('queues')].map(({ name, epoch }) => ({ name, epoch })),
    [{ name: 'q', epoch: 2 }],
  );
  assert.equal(second.driver.view.size('bindings'), 1);
  assert.equal(second.driver.view.get('cluster', 'cluster')?.clusterId, 'cluster-1');
});

test('a power failure at any point of the founding ends in one cluster', async () => {
  for (let turns = 0; turns < 14; turns++) {
    const disk = new SimDisk();
    const first = new Node(disk, 1);
    first.driver.start().catch(() => {});
    for (let i = 0; i < turns; i++) await new Promise(setImmediate);
    first.kill();
    await first.driver.stop();
    disk.losePower(turns % 3 === 0 ? 0 : 0.5);
    const second = await started(disk, 2);
    assert.equal(second.driver.view.size('cluster'), 1);
    assert.equal(second.driver.view.get('vhosts', '/')?.name, '/');
    assert.equal(second.driver.view.get('nodes', NODE_ID)?.incarnation, 2);
  }
});

test('a copied data directory with an older incarnation does not start', async () => {
  const disk = new SimDisk();
  const first = await started(disk, 7);
  await first.driver.stop();
  first.kill();
  await assert.rejects(new Node(disk, 7).driver.start(), /must come back with a higher incarnation: incarnation 7/);
});

test('ten thousand queues declared at once are all declared, and the log stays short', async () => {
  const disk = new SimDisk();
  const { driver, store } = await started(disk);
  const replies = await Promise.all(
    Array.from({ length: 10_000 }, (_, i) => driver.propose(declareQueue({ name: `q${i}` }))),
  );
  assert.ok(replies.every((reply) => reply.type === 'created'));
  assert.equal(driver.view.queueCount('/'), 10_000);
  await new Promise(setImmediate);
  assert.ok(store.commitCount < 400, `${store.commitCount} commits`);
  store.kill();
  disk.losePower(1);
  assert.ok(disk.entries.size <= 2001, `${disk.entries.size} entries are kept`);
  const again = await started(disk, 2);
  assert.equal(again.driver.view.queueCount('/'), 10_000);
});

test('a batch in parts takes effect as one, in slices, and others wait behind it', async () => {
  const { driver, told } = await started(new SimDisk());
  const before = told.length;
  const part = (n: number): Command => ({
    type: 'batch-part',
    batchId: `${NODE_ID}/1`,
    part: n,
    commands: Array.from({ length: 500 }, (_, i) => declareQueue({ name: `q${n}.${i}` })),
  });
  for (let n = 0; n < 4; n++) assert.deepEqual(await driver.propose(part(n)), { type: 'ok' });
  assert.equal(told.length, before);
  let turns = 0;
  let isCounting = true;
  const count = (): void => {
    turns++;
    if (isCounting) setImmediate(count);
  };
  count();
  const order: string[] = [];
  const commit = driver.propose({ type: 'batch-commit', batchId: `${NODE_ID}/1`, parts: 4 });
  const behind = driver.propose(deleteQueue('q3.499'));
  commit.then(() => order.push('batch'));
  behind.then(() => order.push('behind'));
  assert.deepEqual(await commit, { type: 'ok' });
  assert.deepEqual(await behind, { type: 'ok' });
  isCounting = false;
  assert.deepEqual(order, ['batch', 'behind']);
  assert.ok(turns > 20, `${turns} turns`);
  assert.equal(driver.view.queueCount('/'), 1999);
  const slices = told.slice(before, -1);
  assert.ok(slices.every(({ changes }) => changes.length <= 200));
  assert.equal(new Set(slices.map(({ index }) => index)).size, 1);
  assert.equal(
    slices.reduce((sum, { changes }) => sum + changes.length, 0),
    2000,
  );
});

test('a refused batch is told by its place and tells the listeners nothing', async () => {
  const { driver, told } = await started(new SimDisk());
  const before = told.length;
  const reply = await driver.propose({
    type: 'batch',
    commands: [declareExchange(), declareQueue(), declareBinding({ source: 'y' })],
  });
  assert.deepEqual(reply, {
    type: 'batch-refused',
    at: 2,
    reply: { type: 'not-found', what: "exchange 'y' in vhost '/'" },
  });
  assert.equal(told.length, before);
  assert.equal(driver.view.queueCount('/'), 0);
});

test('readers see of a batch what the listeners were told, and nothing of a refused one', async () => {
  const { driver } = await started(new SimDisk());
  await driver.propose(declareExchange());
  await driver.propose(declareQueue({ name: 'old' }));
  await driver.propose(declareBinding({ destination: 'old' }));
  const told = new Set(['old']);
  let sliceCount = 0;
  const seen = (): string[] => [...driver.view.queuesOf('/')].map(({ name }) => name);
  const check = (): void => {
    assert.deepEqual(new Set(seen()), told);
    assert.equal(driver.view.queueCount('/'), told.size);
    assert.equal(driver.view.size('queues'), told.size);
    assert.equal(driver.view.get('queues', rowKey('/', 'old')) !== null, told.has('old'));
    assert.equal([...driver.view.bindingsFrom('/', 'x')].length, told.has('old') ? 1 : 0);
    assert.equal([...driver.view.bindingsTo('/', 'queue', 'old')].length, told.has('old') ? 1 : 0);
  };
  driver.subscribe({
    onChanges: (changes) => {
      sliceCount++;
      for (const change of changes) {
        if (change.table !== 'queues') continue;
        if (change.after === null) told.delete(change.before?.name ?? '');
        else told.add(change.after.name);
      }
    },
  });
  let isRunning = true;
  let checks = 0;
  const everyTurn = (): void => {
    check();
    checks++;
    if (isRunning) setImmediate(everyTurn);
  };
  everyTurn();
  const many = Array.from({ length: 700 }, (_, i) => declareQueue({ name: `q${i}` }));
  const failing: Command = {
    type: 'batch',
    commands: [...many, deleteQueue('old'), declareBinding({ source: 'none' })],
  };
  assert.equal((await driver.propose(failing)).type, 'batch-refused');
  assert.equal(sliceCount, 0);
  assert.deepEqual(await driver.propose({ type: 'batch', commands: [deleteQueue('old'), ...many] }), { type: 'ok' });
  isRunning = false;
  check();
  assert.ok(sliceCount > 3 && checks > 20, `${sliceCount} slices, ${checks} checks`);
});

test('a command that is too large is refused with its size', async () => {
  const { driver } = await started(new SimDisk());
  const reply = await driver.propose(declareQueue({ name: 'x'.repeat(COMMAND_CHARS_MAX) }));
  assert.match(
    JSON.stringify(reply),
    /a command of 1048\d+ characters is too large, at most 1048576: send it in parts/,
  );
});

test('a full disk refuses changes with a clear text until there is space', async () => {
  const { driver, store } = await started(new SimDisk());
  store.isHeld = true;
  const waiting = driver.propose(declareQueue({ name: 'waiting' }));
  driver.onNoSpace(new Error('ENOSPC'));
  await assert.rejects(driver.propose(declareQueue()), (error: unknown) => {
    assert.ok(error instanceof MetadataUnavailable);
    assert.equal(error.message, 'the disk of the metadata log is full: changes are refused until there is space again');
    return true;
  });
  driver.onSpaceBack();
  store.release();
  assert.equal((await waiting).type, 'created');
  assert.equal((await driver.propose(declareQueue())).type, 'created');
});

test('a proposal without an answer ends after thirty seconds of ticks', async () => {
  const running = await started(new SimDisk());
  running.store.isHeld = true;
  const waiting = running.driver.propose(declareQueue());
  for (let i = 0; i < 599; i++) running.tick();
  let isSettled = false;
  waiting.catch(() => {
    isSettled = true;
  });
  await new Promise(setImmediate);
  assert.equal(isSettled, false);
  running.tick();
  await assert.rejects(waiting, /no answer of the metadata log after 30000 ms; the change may still take effect/);
});

test('a fault of the store ends the node once and refuses what waits', async () => {
  const running = await started(new SimDisk());
  running.store.isHeld = true;
  const waiting = running.driver.propose(declareQueue());
  running.driver.onFatal(new Error('sync failed'));
  running.driver.onFatal(new Error('sync failed again'));
  await assert.rejects(waiting, /the metadata log has failed: sync failed/);
  assert.deepEqual(
    running.fatal.map((error) => error.message),
    ['sync failed'],
  );
  assert.equal(running.isTicking, false);
});

test('a node that stops refuses changes and ticks no more', async () => {
  const running = await started(new SimDisk());
  const waiting = running.driver.propose(declareQueue());
  await running.driver.stop();
  await assert.rejects(waiting, /the node is stopping/);
  await assert.rejects(running.driver.propose(declareQueue()), MetadataUnavailable);
  assert.equal(running.isTicking, false);
});

test('a node stopped in the middle of a batch touches its store no more, and finishes the batch at the next start', async () => {
  const disk = new SimDisk();
  const first = await started(disk);
  const commands = Array.from({ length: 1000 }, (_, i) => declareQueue({ name: `q${i}` }));
  const waiting = first.driver.propose({ type: 'batch', commands });
  while (first.driver.status?.committedIndex === first.driver.appliedIndex) await new Promise(setImmediate);
  await first.driver.stop();
  await assert.rejects(waiting, /the node is stopping/);
  const saveRows = first.store.saveRows;
  let callsAfter = 0;
  first.store.saveRows = (...args) => {
    callsAfter++;
    saveRows.apply(first.store, args);
  };
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  assert.equal(callsAfter, 0);
  first.kill();
  disk.losePower(1);
  const second = await started(disk, 2);
  assert.equal(second.driver.view.queueCount('/'), 1000);
});

test('a large batch is all there after a power failure at any moment, with the same ids, and leaves no staged rows', async () => {
  const commands = Array.from({ length: 1500 }, (_, i) => declareQueue({ name: `q${i}` }));
  const ids = (driver: MetadataDriver): string[] =>
    [...driver.view.queuesOf('/')].map(({ name, id }) => `${name}/${id}`).sort();
  let expected: string[] | null = null;
  for (let turns = 0; turns < 60; turns += 4) {
    const disk = new SimDisk();
    const first = await started(disk);
    await first.driver.propose(declareQueue({ name: 'old' }));
    const answer = first.driver.propose({ type: 'batch', commands: [...commands, deleteQueue('old')] });
    answer.catch(() => {});
    while (first.driver.status?.committedIndex === first.driver.appliedIndex) await new Promise(setImmediate);
    for (let i = 0; i < turns; i++) await new Promise(setImmediate);
    first.kill();
    await first.driver.stop();
    disk.losePower(turns % 8 === 0 ? 0.7 : 0.999);
    const second = await started(disk, 2);
    expected ??= ids(second.driver);
    assert.equal(expected.length, 1500);
    assert.deepEqual(ids(second.driver), expected, `after ${turns} turns`);
    await second.driver.propose(declareQueue({ name: 'after' }));
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    second.kill();
    disk.losePower(0.999);
    assert.deepEqual([disk.rows.get('staged')?.size ?? 0, disk.rows.get('stagedMark')?.size ?? 0], [0, 0]);
    assert.equal(new Node(disk, 3).driver.view.queueCount('/'), 1501);
  }
});

test('a removal of many rows is told in slices, readers see what was told, and others wait behind it', async () => {
  const { driver, told } = await started(new SimDisk());
  const bindings = 2000;
  await driver.propose({
    type: 'batch',
    commands: [
      declareExchange(),
      declareQueue(),
      ...Array.from({ length: bindings }, (_, i) => declareBinding({ routingKey: `k${i}` })),
    ],
  });
  const before = told.length;
  let toldRows = 0;
  const lefts: number[] = [];
  driver.subscribe({
    onChanges: (changes) => {
      toldRows += changes.length;
      const left = [...driver.view.bindingsFrom('/', 'x')].length;
      assert.equal(left, Math.max(0, bindings - (toldRows - 1)), 'readers see what was told');
      lefts.push(left);
    },
  });
  const order: string[] = [];
  const removal = driver.propose(deleteExchange('x')).then(() => order.push('deleted'));
  const behind = driver.propose(declareExchange({ type: 'fanout' })).then(() => order.push('declared again'));
  await Promise.all([removal, behind]);
  assert.deepEqual(order, ['deleted', 'declared again']);
  const slices = told.slice(before, -1);
  assert.equal(slices[0]?.changes[0]?.table, 'exchanges', 'it routes nothing from then on');
  assert.ok(slices.every(({ changes }) => changes.length <= 200));
  assert.ok(slices.length >= 10, `${slices.length} slices`);
  assert.equal(new Set(slices.map(({ index }) => index)).size, 1);
  assert.equal(lefts.at(-1), 0);
  assert.equal(driver.view.get('exchanges', rowKey('/', 'x'))?.type, 'fanout');
});

test('a removal of many rows is all done or not at all after a power failure at any moment', async () => {
  const bindings = 1500;
  const outcomes = new Set<boolean>();
  for (let turns = 0; turns < 60; turns += 6) {
    const disk = new SimDisk();
    const first = await started(disk);
    await first.driver.propose({
      type: 'batch',
      commands: [
        declareExchange(),
        declareQueue(),
        ...Array.from({ length: bindings }, (_, i) => declareBinding({ routingKey: `k${i}` })),
      ],
    });
    let isAnswered = false;
    first.driver.propose(deleteExchange('x')).then(
      () => {
        isAnswered = true;
      },
      () => {},
    );
    while (first.driver.status?.committedIndex === first.driver.appliedIndex) await new Promise(setImmediate);
    for (let i = 0; i < turns; i++) await new Promise(setImmediate);
    first.kill();
    await first.driver.stop();
    disk.losePower(turns % 12 === 0 ? 0.7 : 0.999);
    const second = await started(disk, 2);
    const { view } = second.driver;
    const isThere = view.get('exchanges', rowKey('/', 'x')) !== null;
    assert.ok(!isThere || !isAnswered, `after ${turns} turns: it was answered`);
    assert.equal(view.size('bindings'), isThere ? bindings : 0, `after ${turns} turns`);
    assert.equal(view.queueCount('/'), 1);
    outcomes.add(isThere);
    second.kill();
    await second.driver.stop();
  }
  assert.ok(outcomes.has(false), 'in some cases it was done');
});

test('an entry of a later release stops the node instead of being skipped', async () => {
  const disk = new SimDisk();
  const first = await started(disk);
  await first.driver.stop();
  first.kill();
  disk.losePower(1);
  const last = Math.max(...disk.entries.keys());
  disk.entries.set(last + 1, { index: last + 1, term: disk.hardState?.term ?? 0, type: 0, data: '2{}' });
  const second = new Node(disk, 2);
  await assert.rejects(second.driver.start(), /metadata command has format '2', this release reads format 1/);
  assert.equal(second.fatal.length, 1);
});
