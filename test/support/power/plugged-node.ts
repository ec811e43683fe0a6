/**
 * A broker whose plug a test pulls: the process is killed, and of its files is
 * left what was synced and some of what was not. Started again, it runs on that.
 *
 * It also tells when LevelDB begins another write-ahead log: for a moment two are
 * in use then.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FSWatcher, mkdirSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WarrenProcess } from '../broker/warren-process.ts';
import type { BrokerAddress } from '../raw-client/connection.ts';
import { readJournal } from './journal.ts';
import { type Cut, cutPower, fileBytes, type Tear } from './power-cut.ts';
import { type SyncLayer, syncLayer } from './sync-layer.ts';

export interface PluggedNodeOptions {
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Pulled extends Cut {
  readonly syncs: number;
  /** Made, removed and renamed since the last sync. */
  readonly looseChanges: number;
}

export class PluggedNode {
  readonly layer: SyncLayer;
  /** The database whose syncs it only pretends from its next start on; null for an honest broker. */
  unsynced: 'messages' | 'raft' | null = null;
  private readonly options: PluggedNodeOptions;
  private readonly folder = mkdtempSync(join(tmpdir(), 'warren-plug-'));
  private readonly dataDir = join(this.folder, 'data');
  /** The journal and the links to removed files. */
  private readonly journalDir = join(this.folder, 'journal');
  private bytesBefore: ReadonlyMap<number, number> = new Map();
  private running: WarrenProcess | null = null;

  constructor(options: PluggedNodeOptions = {}) {
    this.options = options;
    this.layer = syncLayer(this.folder);
  }

  get address(): BrokerAddress {
    return this.started.address;
  }

  /** What it has said since its last start. */
  get output(): string {
    return this.started.output;
  }

  private get started(): WarrenProcess {
    if (this.running === null) throw new Error('the broker is not running');
    return this.running;
  }

  async start(): Promise<void> {
    this.beginJournal();
    this.running = await WarrenProcess.start({
      dataDir: this.dataDir,
      isOwnBuild: true,
      settings: this.options.settings ?? {},
      nodeFlags: this.nodeFlags,
      environment: this.environment,
    });
  }

  /** Pulls the plug while it starts, if that takes longer than so many milliseconds. */
  async pullAtStart(afterMs: number, tear: Tear): Promise<Pulled> {
    this.beginJournal();
    const program = fileURLToPath(new URL('../broker/own-warren.js', import.meta.url));
    const words = ['--data-dir', this.dataDir, '--set', 'listeners.tcp.default=0'];
    const child = spawn(process.execPath, [...this.nodeFlags, program, ...words], {
      stdio: 'ignore',
      env: { ...process.env, ...this.environment },
    });
    const ended = once(child, 'exit');
    await delay(afterMs);
    child.kill('SIGKILL');
    await ended;
    return this.cut(tear);
  }

  private beginJournal(): void {
    rmSync(this.journalDir, { recursive: true, force: true });
    mkdirSync(this.journalDir);
  }

  private get nodeFlags(): readonly string[] {
    const lie = this.unsynced === null ? [] : ['--import', new URL('./unsynced-writes.js', import.meta.url).href];
    return [...this.layer.nodeFlags, ...lie];
  }

  private get environment(): Readonly<Record<string, string>> {
    const lie = this.unsynced === null ? {} : { WARREN_UNSYNCED: this.unsynced };
    return { ...this.layer.environment, WARREN_SYNC_JOURNAL: this.journalFile, ...lie };
  }

  /** Resolves when LevelDB begins another write-ahead log for messages, or at `giveUp`. */
  async untilNewLog(giveUp: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const watcher: FSWatcher = watch(join(this.dataDir, 'messages'), (_type, name) => {
        if (name === null || !name.endsWith('.log')) return;
        watcher.close();
        resolve();
      });
      giveUp.addEventListener('abort', () => {
        watcher.close();
        resolve();
      });
    });
  }

  async pull(tear: Tear): Promise<Pulled> {
    await this.started.kill();
    this.running = null;
    return this.cut(tear);
  }

  private cut(tear: Tear): Pulled {
    const journal = readJournal(this.journalFile);
    const { bytesBefore } = this;
    const cut = cutPower(this.dataDir, { journal, bytesBefore, knows: this.layer.knows, tear });
    this.bytesBefore = fileBytes(this.dataDir);
    return { ...cut, syncs: journal.syncs, looseChanges: journal.looseChanges.length };
  }

  async remove(): Promise<void> {
    await this.running?.kill();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private get journalFile(): string {
    return join(this.journalDir, 'journal');
  }
}
