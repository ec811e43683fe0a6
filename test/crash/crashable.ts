/**
 * A broker that tests kill with -9 and start again on the same data: Warren as a
 * process, or with `WARREN_ORACLE=1` the original, to check the test itself.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RabbitNode } from '../support/broker/rabbit.ts';
import { WarrenProcess } from '../support/broker/warren-process.ts';
import type { BrokerAddress } from '../support/raw-client/connection.ts';

export interface CrashableOptions {
  readonly settings?: Readonly<Record<string, string>>;
  /** Where the data goes; a temporary folder when null. Removed at the end by whoever made it. */
  readonly dataDir?: string;
}

export interface Crashable {
  readonly address: BrokerAddress;
  start(): Promise<void>;
  /** `kill -9`. @returns whether it hit a commit; null when the broker does not tell */
  kill(): Promise<boolean | null>;
  /** In good order. */
  stop(): Promise<void>;
  /** Removes what it left on disk. */
  remove(): Promise<void>;
}

/** Not started yet. */
export function crashable(options: CrashableOptions = {}): Crashable {
  return process.env['WARREN_ORACLE'] === '1' ? new CrashableRabbit(options) : new CrashableWarren(options);
}

class CrashableWarren implements Crashable {
  private readonly options: CrashableOptions;
  private readonly folder = mkdtempSync(join(tmpdir(), 'warren-crash-'));
  private running: WarrenProcess | null = null;

  constructor(options: CrashableOptions) {
    this.options = options;
  }

  get address(): BrokerAddress {
    if (this.running === null) throw new Error('the broker is not running');
    return this.running.address;
  }

  async start(): Promise<void> {
    writeFileSync(this.markerFile, '0');
    this.running = await WarrenProcess.start({
      dataDir: this.options.dataDir ?? join(this.folder, 'data'),
      settings: this.options.settings ?? {},
      commitMarkerFile: this.markerFile,
    });
  }

  /** The broker writes `1` to the marker before a commit and `0` after it. */
  async kill(): Promise<boolean | null> {
    await this.running?.kill();
    this.running = null;
    return existsSync(this.markerFile) && readFileSync(this.markerFile, 'latin1').startsWith('1');
  }

  async stop(): Promise<void> {
    await this.running?.stop();
    this.running = null;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private get markerFile(): string {
    return join(this.folder, 'commit-marker');
  }
}

class CrashableRabbit implements Crashable {
  private readonly options: CrashableOptions;
  private node: RabbitNode | null = null;

  constructor(options: CrashableOptions) {
    this.options = options;
  }

  get address(): BrokerAddress {
    if (this.node === null) throw new Error('the broker was never started');
    return this.node.address;
  }

  async start(): Promise<void> {
    if (this.node === null) this.node = await RabbitNode.start(this.options.settings);
    else await this.node.launch();
  }

  async kill(): Promise<null> {
    await this.node?.kill();
    return null;
  }

  async stop(): Promise<void> {
    await this.node?.control.call('stop_app');
    await this.node?.kill();
  }

  async remove(): Promise<void> {
    await this.node?.stop();
  }
}
