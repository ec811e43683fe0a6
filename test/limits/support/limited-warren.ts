/**
 * A Warren process of a test of its own, with its memory in view; it and its data
 * go when the test ends.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WarrenProcess, type WarrenProcessOptions } from '../../support/broker/warren-process.ts';
import { type ConnectOptions, connect } from '../../support/raw-client/connect.ts';
import type { RawConnection } from '../../support/raw-client/connection.ts';
import { ProcessMemory } from './process-memory.ts';

export type LimitedOptions = Omit<WarrenProcessOptions, 'dataDir' | 'isOwnBuild'>;

/** glibc's malloc gives back what is freed: what is measured is what the broker holds. */
const FRUGAL_MALLOC = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' };

/** What a test context offers for cleaning up. */
export interface Scope {
  after(cleanUp: () => Promise<void>): void;
  diagnostic(text: string): void;
}

export class LimitedWarren {
  readonly process: WarrenProcess;
  readonly memory: ProcessMemory;
  /** Resident memory when it had started. */
  readonly idleBytes: number;
  private readonly connections: RawConnection[] = [];

  private constructor(warren: WarrenProcess) {
    this.process = warren;
    this.memory = new ProcessMemory(warren.pid);
    this.idleBytes = this.memory.residentBytes;
  }

  /** Its allocator keeps little for later, unless `environment` is given. */
  static async start(scope: Scope, options: LimitedOptions = {}): Promise<LimitedWarren> {
    const folder = mkdtempSync(join(tmpdir(), 'warren-limits-'));
    let limited: LimitedWarren | null = null;
    scope.after(async () => {
      await limited?.end(scope);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    });
    const warren = await WarrenProcess.start({
      environment: FRUGAL_MALLOC,
      ...options,
      dataDir: join(folder, 'data'),
      isOwnBuild: true,
    });
    limited = new LimitedWarren(warren);
    return limited;
  }

  get address() {
    return this.process.address;
  }

  /** Cut when the test ends. */
  async connect(options: ConnectOptions = {}): Promise<RawConnection> {
    const connection = await connect(this.address, options);
    this.connections.push(connection);
    return connection;
  }

  private async end(scope: Scope): Promise<void> {
    if (!this.process.isRunning) scope.diagnostic(`the broker had ended: ${this.process.output.slice(-2000)}`);
    for (const connection of this.connections) connection.destroy();
    this.memory.stop();
    await this.process.kill();
  }
}
