/**
 * When the alarms come and go, with readers and timers of the test's own.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AlarmName, Repeater } from '../../node/alarms/alarm-setter.ts';
import { DiskMonitor, diskLimit } from '../../node/alarms/disk-monitor.ts';
import { MemoryMonitor, memoryLimits } from '../../node/alarms/memory-monitor.ts';
import { SystemMemoryReaders } from '../../node/alarms/process-memory.ts';
import { totalMemoryBytes } from '../../node/alarms/total-memory.ts';
import { silentLog } from '../../node/log.ts';

class ManualRepeater implements Repeater {
  private run: (() => void) | null = null;

  every(_intervalMs: number, run: () => void): () => void {
    this.run = run;
    return () => {
      this.run = null;
    };
  }

  async tick(): Promise<void> {
    this.run?.();
    await new Promise((resolve) => setImmediate(resolve));
  }

  get isRunning(): boolean {
    return this.run !== null;
  }
}

function recorder() {
  const events: string[] = [];
  return {
    events,
    set: (name: AlarmName, isRaised: boolean) => void events.push(`${name} ${isRaised}`),
    setMemoryCritical: (isCritical: boolean) => void events.push(`critical ${isCritical}`),
  };
}

/** In use of 10,000 allowed, garbage included until it is collected; heap of 1000. */
function memoryWorld() {
  const readings = { residentBytes: 0, inUseBytes: 0, heapUsedBytes: 0, garbageBytes: 0, collections: 0, collectMs: 1 };
  const readers = {
    read: () => ({
      residentBytes: readings.residentBytes,
      inUseBytes: readings.inUseBytes + readings.garbageBytes,
      heapUsedBytes: readings.heapUsedBytes,
      heapLimitBytes: 1000,
    }),
    collect: () => {
      readings.collections++;
      readings.garbageBytes = 0;
      return readings.collectMs;
    },
  };
  const repeater = new ManualRepeater();
  const alarms = recorder();
  const limits = { limitBytes: 10_000, ceilingBytes: 20_000 };
  const monitor = new MemoryMonitor(limits, readers, repeater, alarms, silentLog);
  return { readings, repeater, alarms, monitor };
}

test('the memory alarm is raised above the watermark and cleared only well below it', async () => {
  const { readings, repeater, alarms, monitor } = memoryWorld();
  monitor.start();
  for (const inUseBytes of [10_000, 10_001, 10_500, 9_800, 8_001, 8_000, 9_900]) {
    readings.inUseBytes = inUseBytes;
    await repeater.tick();
    await repeater.tick();
  }
  assert.deepEqual(alarms.events, ['memory true', 'memory false']);
});

test("V8's heap near its own limit raises the memory alarm however small the process is", async () => {
  const { readings, repeater, alarms, monitor } = memoryWorld();
  monitor.start();
  for (const heapUsedBytes of [800, 801, 641, 640]) {
    readings.heapUsedBytes = heapUsedBytes;
    await repeater.tick();
    await repeater.tick();
  }
  assert.deepEqual(alarms.events, ['memory true', 'memory false']);
});

test('memory that the allocator keeps for later raises no alarm below the ceiling', async () => {
  const { readings, repeater, alarms, monitor } = memoryWorld();
  monitor.start();
  for (const residentBytes of [15_000, 20_000, 20_001, 19_500, 16_000, 15_000]) {
    readings.residentBytes = residentBytes;
    await repeater.tick();
    await repeater.tick();
  }
  assert.deepEqual(alarms.events, ['memory true', 'memory false']);
});

test('garbage above the watermark is collected instead of an alarm', async () => {
  const { readings, repeater, alarms, monitor } = memoryWorld();
  monitor.start();
  readings.garbageBytes = 15_000;
  for (let check = 1; check <= 3; check++) await repeater.tick();
  assert.equal(readings.collections, 1);
  assert.deepEqual(alarms.events, []);
});

test('an alarm that only garbage keeps up is over at the next collection', async () => {
  const { readings, repeater, alarms, monitor } = memoryWorld();
  monitor.start();
  readings.inUseBytes = 11_000;
  for (let check = 1; check <= 2; check++) await repeater.tick();
  assert.deepEqual(alarms.events, ['memory true']);
  readings.inUseBytes = 1000;
  readings.garbageBytes = 9_500;
  for (let check = 1; check <= 5; check++) await repeater.tick();
  assert.deepEqual(alarms.events, ['memory true', 'memory false']);
});

test('nothing new is made from nine tenths of the heap on, or with memory in use half-way to all there is', async () => {
  for (const [name, atLimit, above, below] of [
    ['heapUsedBytes', 900, 901, 720],
    ['inUseBytes', 20_000, 20_001, 16_000],
  ] as const) {
    const { readings, repeater, alarms, monitor } = memoryWorld();
    monitor.start();
    for (const bytes of [atLimit, above, below + 1, below, 0]) {
      readings[name] = bytes;
      for (let check = 0; check < 2; check++) await repeater.tick();
    }
    assert.deepEqual(alarms.events, ['memory true', 'critical true', 'critical false', 'memory false'], name);
  }
});

test('collecting takes a twentieth of the time at most', async () => {
  const { readings, repeater, monitor } = memoryWorld();
  monitor.start();
  readings.inUseBytes = 11_000;
  readings.collectMs = 500;
  for (let check = 0; check < 400; check++) await repeater.tick();
  assert.equal(readings.collections, 10, 'each 500 ms in 10 s, of 100 s');
});

test('what this process uses is a part of what it occupies, and a collection is told by its duration', () => {
  const readers = new SystemMemoryReaders(0);
  const before = readers.read();
  assert.ok(before.inUseBytes <= before.residentBytes && before.inUseBytes > before.heapUsedBytes);
  assert.ok(before.heapUsedBytes < before.heapLimitBytes);
  assert.ok(readers.collect() > 0);
});

test('a node that starts above the watermark starts blocked', () => {
  const { readings, alarms, monitor } = memoryWorld();
  readings.inUseBytes = 20_000;
  monitor.start();
  assert.deepEqual(alarms.events, ['memory true']);
  assert.equal(monitor.status().isRaised, true);
});

test('a stopped monitor has no timer', () => {
  const { repeater, monitor } = memoryWorld();
  monitor.start();
  assert.equal(repeater.isRunning, true);
  monitor.stop();
  assert.equal(repeater.isRunning, false);
});

test('a watermark of 0 raises the alarm for good; the ceiling lies half-way from the watermark to all memory', () => {
  const relative = (fraction: number) => memoryLimits({ type: 'relative', fraction }, 1e9);
  assert.deepEqual(relative(0), { limitBytes: 0, ceilingBytes: 5e8 });
  assert.deepEqual(relative(0.4), { limitBytes: 4e8, ceilingBytes: 7e8 });
  assert.deepEqual(memoryLimits({ type: 'absolute', bytes: 123 }, 1023), { limitBytes: 123, ceilingBytes: 573 });
  assert.deepEqual(memoryLimits({ type: 'absolute', bytes: 3e9 }, 1e9), { limitBytes: 3e9, ceilingBytes: 3e9 });
});

test('the disk alarm follows the free space', async () => {
  let freeBytes = 1000;
  const repeater = new ManualRepeater();
  const alarms = recorder();
  const monitor = new DiskMonitor(1000, { freeBytes: async () => freeBytes }, repeater, alarms, silentLog);
  await monitor.start();
  for (const bytes of [999, 1000, 1049, 1050, 1000]) {
    freeBytes = bytes;
    await repeater.tick();
  }
  assert.deepEqual(alarms.events, ['disk true', 'disk false']);
});

test('a disk that cannot be read leaves the alarm as it is, and is asked again', async () => {
  let answer: () => Promise<number> = async () => 1;
  const repeater = new ManualRepeater();
  const alarms = recorder();
  const monitor = new DiskMonitor(1000, { freeBytes: () => answer() }, repeater, alarms, silentLog);
  await monitor.start();
  answer = () => Promise.reject(new Error('gone'));
  await repeater.tick();
  assert.equal(monitor.status().isRaised, true);
  answer = async () => 5000;
  await repeater.tick();
  assert.deepEqual(alarms.events, ['disk true', 'disk false']);
});

test('a disk that does not answer is not asked twice', async () => {
  let asked = 0;
  const repeater = new ManualRepeater();
  const reader = { freeBytes: () => new Promise<number>(() => void asked++) };
  const monitor = new DiskMonitor(1000, reader, repeater, recorder(), silentLog);
  void monitor.start();
  await repeater.tick();
  await repeater.tick();
  assert.equal(asked, 1);
  monitor.stop();
});

test('the default disk limit is raised to what the database needs; a lower one that was set is obeyed with a warning', () => {
  const mebi = 1024 * 1024;
  const small = { type: 'absolute', bytes: 50_000_000 } as const;
  assert.deepEqual(diskLimit(small, false, 8 * mebi, 1e9), { bytes: 272 * mebi, warning: null });
  const set = diskLimit(small, true, 8 * mebi, 1e9);
  assert.equal(set.bytes, 50_000_000);
  assert.match(set.warning ?? '', /disk_free_limit is 50000000 bytes; below 285212672/);
  assert.deepEqual(diskLimit({ type: 'relative', fraction: 1.5 }, true, 8 * mebi, 1e9), {
    bytes: 1.5e9,
    warning: null,
  });
});

test("a container's limit counts as the machine's memory: control groups 2 and 1, the smallest of all above", () => {
  const cases: readonly (readonly [name: string, files: Readonly<Record<string, string>>, bytes: number])[] = [
    ['none', {}, 1000],
    ['v2', { '/proc/self/cgroup': '0::/a/b\n', '/sys/fs/cgroup/a/b/memory.max': '500\n' }, 500],
    [
      'v2, parent',
      {
        '/proc/self/cgroup': '0::/a/b\n',
        '/sys/fs/cgroup/a/b/memory.max': 'max\n',
        '/sys/fs/cgroup/a/memory.max': '300\n',
      },
      300,
    ],
    ['v2, own root', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/memory.max': '400\n' }, 400],
    ['v1', { '/proc/self/cgroup': '5:cpu,memory:/x\n', '/sys/fs/cgroup/memory/x/memory.limit_in_bytes': '200\n' }, 200],
    [
      'v1, no limit',
      { '/proc/self/cgroup': '5:memory:/\n', '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n' },
      1000,
    ],
    ['above the machine', { '/proc/self/cgroup': '0::/a\n', '/sys/fs/cgroup/a/memory.max': '5000\n' }, 1000],
  ];
  for (const [name, files, bytes] of cases) {
    assert.equal(totalMemoryBytes({ readText: (path) => files[path] ?? null, machineBytes: () => 1000 }), bytes, name);
  }
});
