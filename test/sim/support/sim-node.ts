/**
 * One machine of a simulated world and the process that runs on it: a disk that
 * outlives the process, an event loop that can be paused, and parts that are made
 * anew at each start.
 *
 * Everything that a process does goes through `post`: a process that was killed
 * does nothing more, one that is paused does it later.
 */
import type { Clock } from '../../../proto/base/clock.ts';
import { TurnQueue } from '../../../proto/base/turn-queue.ts';
import { SimDisk } from '../../cluster/sim-raft-store.ts';
import type { Random } from '../../fuzz/core/random.ts';
import type { EventList } from './event-list.ts';
import type { SimEndpoint, SimNetwork } from './sim-network.ts';

/** Something that runs in a process: metadata, and whatever is added to it. */
export interface NodePart {
  /** After all parts were made. */
  begin(): void;
  /** The process is gone: it must touch nothing any more. */
  kill(): void;
}

/** What a part is made of. */
export interface Process {
  readonly machine: SimNode;
  readonly nodeId: string;
  readonly incarnation: number;
  readonly network: SimEndpoint;
  readonly turn: TurnQueue;
  readonly clock: Clock;
  readonly disk: SimDisk;
  readonly timers: { every(intervalMs: number, run: () => void): () => void };
  /** Later, as the disk does things. */
  readonly diskSchedule: (run: () => void) => void;
  readonly random: () => number;
}

/** In order of their start; killed in reverse. */
export type PartFactory = (process: Process) => readonly NodePart[];

export class SimNode {
  readonly name: string;
  readonly kind: 'disc' | 'ram';
  disk = new SimDisk();
  nodeId: string;
  incarnation = 0;
  isRunning = false;
  isPaused = false;
  /** Its syncs take so long, in milliseconds. */
  diskDelayMs = 1;
  parts: readonly NodePart[] = [];
  network: SimEndpoint | null = null;
  private readonly events: EventList;
  private readonly simNetwork: SimNetwork;
  private readonly random: Random;
  private life = 0;
  private disks = 0;
  private held: (() => void)[] = [];
  private readonly clockOffsetMs: number;

  constructor(name: string, kind: 'disc' | 'ram', events: EventList, network: SimNetwork, random: Random) {
    this.name = name;
    this.kind = kind;
    this.events = events;
    this.simNetwork = network;
    this.random = random;
    this.clockOffsetMs = random.below(1_000_000);
    this.nodeId = this.newDiskId();
  }

  /** Of processes on this machine: +1 with each start and each end. */
  get currentLife(): number {
    return this.life;
  }

  start(makeParts: PartFactory): void {
    if (this.isRunning) return;
    if (this.kind === 'ram') this.loseDisk();
    this.isRunning = true;
    this.isPaused = false;
    this.life++;
    this.incarnation++;
    const { life } = this;
    const schedule = (run: () => void): void => this.post(0.02 + this.random.below(10) / 100, run, life);
    const network = this.simNetwork.open(this);
    this.network = network;
    this.parts = makeParts({
      machine: this,
      nodeId: this.nodeId,
      incarnation: this.incarnation,
      network,
      turn: new TurnQueue(schedule),
      clock: { monotonicMs: () => this.events.nowMs + this.clockOffsetMs, wallMs: () => Math.floor(this.events.nowMs) },
      disk: this.disk,
      timers: { every: (intervalMs, run) => this.every(intervalMs, run, life) },
      diskSchedule: (run) => this.post((this.diskDelayMs * (1 + this.random.below(100))) / 100, run, life),
      random: () => this.random.next() / 2 ** 32,
    });
    for (const part of this.parts) part.begin();
  }

  /** kill -9: what was written stays. */
  kill(): void {
    this.end(1);
  }

  /** The plug is pulled: of what was not synced, a part is gone. */
  losePower(): void {
    this.end(this.random.below(100) / 100);
  }

  /** The disk is gone; the next start is on an empty one. Only while it does not run. */
  loseDisk(): void {
    this.disk = new SimDisk();
    this.nodeId = this.newDiskId();
    this.incarnation = 0;
  }

  pause(): void {
    this.isPaused = this.isRunning;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    const held = this.held;
    this.held = [];
    for (const run of held) this.post(0, run, this.life);
  }

  /** Runs in this process, if it still is this one, when it is not paused. */
  post(delayMs: number, run: () => void, life = this.life): void {
    this.events.after(delayMs, () => {
      if (life !== this.life) return;
      if (this.isPaused) this.held.push(run);
      else run();
    });
  }

  private every(intervalMs: number, run: () => void, life: number): () => void {
    let isOn = true;
    const next = (): void => {
      if (!isOn) return;
      run();
      this.post(intervalMs, next, life);
    };
    this.post(intervalMs * (this.random.below(100) / 100), next, life);
    return () => {
      isOn = false;
    };
  }

  private end(kept: number): void {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.isPaused = false;
    this.life++;
    this.held = [];
    for (const part of [...this.parts].reverse()) part.kill();
    this.parts = [];
    this.disk.losePower(kept);
    if (this.network !== null) this.simNetwork.close(this.network);
    this.network = null;
  }

  private newDiskId(): string {
    const text = `${this.name.replace(/[^a-z0-9]/g, '')}${++this.disks}`;
    return Buffer.from(text.padEnd(16, '.')).toString('hex');
  }
}
