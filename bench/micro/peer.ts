/**
 * What a link between two nodes carries: two processes, frames one way on the
 * bulk channel, and how long the shortest question and answer takes on control
 * while bulk is busy and while it is not. Run the built file:
 * `node dist/bench/micro/peer.js`; with `--detect` it says how soon the loss of
 * a process is noticed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { PeerLinks } from '../../cluster/drivers/peer-links.ts';
import { PEER_QUEUE_HIGH_BYTES, PeerChannel } from '../../cluster/peer-network.ts';
import { SystemClock } from '../../proto/base/clock.ts';
import { TurnQueue } from '../../proto/base/turn-queue.ts';

const BULK_KIND = 200;
const DONE_KIND = 201;
const PING_KIND = 202;
const ROUNDS = [
  { frameBytes: 64, totalBytes: 32e6 },
  { frameBytes: 1024, totalBytes: 200e6 },
  { frameBytes: 16 * 1024, totalBytes: 600e6 },
  { frameBytes: 64 * 1024, totalBytes: 800e6 },
  { frameBytes: 256 * 1024, totalBytes: 800e6 },
];
const PINGS = 2000;
const isChild = process.argv[2] === 'child';

function linksOf(nodeId: string): PeerLinks {
  return new PeerLinks({
    node: { nodeId, name: `rabbit@${nodeId}`, incarnation: 1, version: '0', clusterId: null, kind: 'disc' },
    cookie: 'bench',
    listen: { host: '127.0.0.1', port: 0 },
    tls: null,
    clock: new SystemClock(),
    turn: new TurnQueue(setImmediate),
    random: Math.random,
    judge: () => null,
    log: () => {},
  });
}

/** Counts what comes; answers pings and the end of a round. */
async function runChild(): Promise<void> {
  const links = linksOf('b');
  let bytes = 0;
  links.handle(BULK_KIND, {
    onFrame: (_nodeId, _link, frame) => {
      bytes += frame.length;
    },
  });
  links.handle(PING_KIND, {
    onFrame: (nodeId, link, frame) => {
      links.send(nodeId, link, PeerChannel.control, Buffer.from(frame));
    },
  });
  links.handle(DONE_KIND, {
    onFrame: (nodeId, link) => {
      const { user, system } = process.cpuUsage();
      const answer = Buffer.from(`\xc9\x01${bytes} ${user + system}`, 'latin1');
      links.send(nodeId, link, PeerChannel.bulk, answer);
      bytes = 0;
    },
  });
  await links.start();
  process.once('disconnect', () => process.exit());
  process.send?.(links.port);
}

class Parent {
  private readonly links = linksOf('a');
  private link = 0;
  private onAnswer: (text: string) => void = () => {};
  private onPing: () => void = () => {};
  private onDown: (isRefused: boolean) => void = () => {};
  private onUp: () => void = () => {};

  constructor() {
    this.links.subscribe({
      onLinkUp: (_peer, link) => {
        this.link = link;
        this.onUp();
      },
      onLinkDown: (_nodeId, _link, isRefused) => this.onDown(isRefused),
    });
    this.links.handle(DONE_KIND, {
      onFrame: (_nodeId, _link, frame) => this.onAnswer(Buffer.from(frame).toString('latin1', 2)),
    });
    this.links.handle(PING_KIND, { onFrame: () => this.onPing() });
  }

  async connect(port: number): Promise<void> {
    const up = new Promise<void>((resolve) => {
      this.onUp = resolve;
    });
    await this.links.start();
    this.links.setPeers([{ name: null, host: '127.0.0.1', port }]);
    await up;
  }

  stop(): Promise<void> {
    return this.links.stop();
  }

  /** As many as go under the high mark, then the rest as they are taken. */
  private pump(frame: Buffer, totalBytes: number): Promise<void> {
    return new Promise((resolve) => {
      let left = Math.ceil(totalBytes / frame.length);
      const turn = (): void => {
        for (let count = 0; left > 0 && count < 2000; count++) {
          if (this.links.queuedBytes('b') > PEER_QUEUE_HIGH_BYTES) {
            this.links.whenDrained('b', turn);
            return;
          }
          this.links.send('b', this.link, PeerChannel.bulk, frame);
          left--;
        }
        if (left > 0) setImmediate(turn);
        else resolve();
      };
      turn();
    });
  }

  private ask(): Promise<string> {
    const answer = new Promise<string>((resolve) => {
      this.onAnswer = resolve;
    });
    this.links.send('b', this.link, PeerChannel.bulk, Buffer.from([DONE_KIND, 1]));
    return answer;
  }

  async round(frameBytes: number, totalBytes: number): Promise<void> {
    const frame = Buffer.alloc(frameBytes, 1);
    frame[0] = BULK_KIND;
    await this.pump(frame, totalBytes / 10);
    const childBefore = Number((await this.ask()).split(' ')[1]);
    const own = process.cpuUsage();
    const startMs = performance.now();
    await this.pump(frame, totalBytes);
    const [bytes, childAfter] = (await this.ask()).split(' ').map(Number) as [number, number]; // the child's two numbers
    const ms = performance.now() - startMs;
    const { user, system } = process.cpuUsage(own);
    const frames = bytes / frameBytes;
    const perFrame = (us: number): string => (us / frames).toFixed(2);
    const text = [
      `${(frameBytes / 1024).toFixed(2)} KiB frames: ${Math.round((frames / ms) * 1000)} /s`,
      `${(bytes / ms / 1000).toFixed(0)} MB/s`,
      `CPU per frame: sender ${perFrame(user + system)} us, receiver ${perFrame(childAfter - childBefore)} us`,
    ];
    process.stdout.write(`${text.join(', ')}\n`);
  }

  async pings(isBulkBusy: boolean): Promise<void> {
    let isOver = false;
    const frame = Buffer.alloc(64 * 1024, 1);
    frame[0] = BULK_KIND;
    const load = async (): Promise<void> => {
      while (!isOver) await this.pump(frame, 16e6);
    };
    const busy = isBulkBusy ? load() : Promise.resolve();
    const times: number[] = [];
    for (let i = 0; i < PINGS; i++) {
      const startMs = performance.now();
      const back = new Promise<void>((resolve) => {
        this.onPing = resolve;
      });
      this.links.send('b', this.link, PeerChannel.control, Buffer.from([PING_KIND, 1]));
      await back;
      times.push((performance.now() - startMs) * 1000);
    }
    isOver = true;
    await busy;
    await this.ask();
    times.sort((one, other) => one - other);
    const at = (part: number): string => times[Math.floor(times.length * part)]!.toFixed(0);
    process.stdout.write(
      `control ${isBulkBusy ? 'beside busy bulk' : 'alone'}: p50 ${at(0.5)} us, p99 ${at(0.99)} us\n`,
    );
  }

  async detect(child: ChildProcess, signal: 'SIGSTOP' | 'SIGKILL'): Promise<void> {
    const down = new Promise<boolean>((resolve) => {
      this.onDown = resolve;
    });
    const startMs = performance.now();
    child.kill(signal);
    const isRefused = await down;
    const ms = (performance.now() - startMs).toFixed(0);
    process.stdout.write(`${signal}: noticed after ${ms} ms, isRefused ${isRefused}\n`);
    child.kill('SIGKILL');
  }
}

async function withChild(run: (parent: Parent, child: ChildProcess) => Promise<void>): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['child']);
  const port = await new Promise<number>((resolve) => {
    child.once('message', (message) => resolve(Number(message)));
  });
  const parent = new Parent();
  await parent.connect(port);
  await run(parent, child);
  child.kill('SIGKILL');
  await parent.stop();
}

async function main(): Promise<void> {
  if (process.argv.includes('--detect')) {
    for (const signal of ['SIGSTOP', 'SIGSTOP', 'SIGKILL', 'SIGKILL'] as const) {
      await withChild((parent, child) => parent.detect(child, signal));
    }
    return;
  }
  await withChild(async (parent) => {
    for (const { frameBytes, totalBytes } of ROUNDS) await parent.round(frameBytes, totalBytes);
    await parent.pings(false);
    await parent.pings(true);
  });
}

await (isChild ? runChild() : main());
