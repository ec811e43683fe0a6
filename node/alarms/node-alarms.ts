/**
 * The alarms of a node: the monitors of memory and disk, wired to the board
 * that front-ends watch.
 */
import type { BrokerAlarmBoard } from '../broker/alarm-board.ts';
import type { NodeOptions } from '../node-options.ts';
import type { NodeStores } from '../stores.ts';
import { type AlarmSetter, systemRepeater } from './alarm-setter.ts';
import { DiskMonitor, diskLimit, systemDiskReader } from './disk-monitor.ts';
import { MemoryMonitor, memoryLimits } from './memory-monitor.ts';
import { SystemMemoryReaders } from './process-memory.ts';
import { totalMemoryBytes } from './total-memory.ts';

/** Sources of an alarm on the board. */
const MONITOR = 'monitor';
const STORE = 'store';

/** Of one database: see storage/level-database. */
const DATABASE_CACHE_BYTES = 8 * 1024 * 1024;

export class NodeAlarms {
  readonly memory: MemoryMonitor;
  /** Null for a node that keeps nothing. */
  readonly disk: DiskMonitor | null;
  /** What the monitors raise and clear. */
  readonly setter: AlarmSetter;
  private readonly board: BrokerAlarmBoard;

  private constructor(memory: MemoryMonitor, disk: DiskMonitor | null, setter: AlarmSetter, board: BrokerAlarmBoard) {
    this.memory = memory;
    this.disk = disk;
    this.setter = setter;
    this.board = board;
  }

  static async start(options: NodeOptions, stores: NodeStores, board: BrokerAlarmBoard): Promise<NodeAlarms> {
    const { config, log } = options;
    const total = totalMemoryBytes();
    const setter: AlarmSetter = {
      set: (name, isRaised) => (isRaised ? board.raise(name, MONITOR) : board.clear(name, MONITOR)),
      setMemoryCritical: (isCritical) => board.setMemoryCritical(isCritical),
    };
    const limits = memoryLimits(config.values.memoryWatermark, total);
    const readers = new SystemMemoryReaders(databaseBytesMax(stores));
    const memory = new MemoryMonitor(limits, readers, systemRepeater, setter, log);
    let disk: DiskMonitor | null = null;
    if (stores.dataDir !== null) {
      const isSet = config.isSet.has('diskFreeLimit');
      const limit = diskLimit(config.values.diskFreeLimit, isSet, stores.writeBufferBytes, total);
      if (limit.warning !== null) log.warn(limit.warning);
      disk = new DiskMonitor(limit.bytes, systemDiskReader(stores.dataDir), systemRepeater, setter, log);
    }
    stores.tellSpace({
      onNoSpace: (error) => {
        log.error('the disk is full: publishers are blocked, nothing confirmed is lost', { error });
        board.raise('disk', STORE);
      },
      onSpaceBack: () => {
        log.info('the disk has space again');
        board.clear('disk', STORE);
      },
    });
    memory.start();
    await disk?.start();
    return new NodeAlarms(memory, disk, setter, board);
  }

  /** As `status` shows them. */
  names(): readonly string[] {
    return (['memory', 'disk'] as const).filter((resource) => this.board.isRaised(resource));
  }

  stop(): void {
    this.memory.stop();
    this.disk?.stop();
  }
}

/** What the two databases may hold in native memory: two write buffers each, one of them being written, and their caches. */
function databaseBytesMax({ dataDir, writeBufferBytes }: NodeStores): number {
  return dataDir === null ? 0 : 2 * (2 * writeBufferBytes + DATABASE_CACHE_BYTES);
}
