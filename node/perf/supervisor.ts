/**
 * What may end a run early: a connection that failed, or a person. Everything
 * that takes time waits here, and looks after the connections meanwhile.
 */
import type { ClientConnection, ConnectionUser } from './client/connection.ts';
import type { ConnectionFailure } from './client/failure.ts';
import { monotonicNs } from './monotonic.ts';

const lookEveryMs = 10;
const beatEveryMs = 1000;

export class Supervisor {
  private readonly connections = new Set<ClientConnection>();
  private readonly beating: NodeJS.Timeout;
  private failure: ConnectionFailure | null = null;
  private wantsEnd = false;

  constructor() {
    this.beating = setInterval(() => this.beat(), beatEveryMs);
  }

  get isInterrupted(): boolean {
    return this.wantsEnd;
  }

  /** Ends what is being waited for; the run goes on to its end. */
  interrupt(): void {
    this.wantsEnd = true;
  }

  /** The first one counts. */
  readonly fail = (failure: ConnectionFailure): void => {
    this.failure ??= failure;
  };

  add(connection: ClientConnection): void {
    this.connections.add(connection);
  }

  /** Says goodbye to `connections`, all at once. */
  async close(connections: readonly ClientConnection[]): Promise<void> {
    for (const connection of connections) this.connections.delete(connection);
    await Promise.all(connections.map((connection) => connection.close()));
  }

  /** Ends at once what is still open. */
  end(): void {
    clearInterval(this.beating);
    for (const connection of this.connections) connection.destroy();
    this.connections.clear();
  }

  /** @throws ConnectionFailure */
  check(): void {
    if (this.failure !== null) throw this.failure;
  }

  /** Until `isDone`, an interruption, or the time is over. @throws ConnectionFailure when a connection failed. */
  async wait(timeoutMs: number, isDone: () => boolean = () => false): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        const restMs = untilMs - performance.now();
        if (restMs <= 0 || this.failure !== null || this.wantsEnd || isDone()) resolve();
        else setTimeout(look, Math.min(lookEveryMs, restMs));
      };
      look();
    });
    this.check();
  }

  /**
   * Until `isDone`, or `count` did not change in so many looks as fit into `quietMs`: looks rather than time, so that
   * a machine which stops this process for a while does not end the wait. A person is asked to wait, too.
   *
   * @throws ConnectionFailure
   */
  async waitForRest(quietMs: number, count: () => number, isDone: () => boolean): Promise<void> {
    const looksMax = Math.ceil(quietMs / lookEveryMs);
    let last = count();
    for (let looks = 0; looks < looksMax && !isDone(); looks++) {
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      this.check();
      if (count() !== last) looks = -1;
      last = count();
    }
  }

  private beat(): void {
    const nowNs = monotonicNs();
    for (const connection of this.connections) connection.beat(nowNs);
  }
}

/** For connections that carry no messages. */
export class SilentUser implements ConnectionUser {
  readonly onFailure: (failure: ConnectionFailure) => void;

  constructor(onFailure: (failure: ConnectionFailure) => void) {
    this.onFailure = onFailure;
  }

  onDelivery(): void {}
  onReturn(): void {}
  onConfirm(): void {}
  onGate(): void {}

  fill(): boolean {
    return false;
  }
}

/** Calls `work` with 0 to `count` - 1, at most `parallel` at a time, until one fails or `isOver`. */
export async function inParallel(
  count: number,
  parallel: number,
  isOver: () => boolean,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let isFailed = false;
  const worker = async (): Promise<void> => {
    while (next < count && !isFailed && !isOver()) {
      try {
        await work(next++);
      } catch (error) {
        isFailed = true; // a fault: the others begin nothing more, and it is the caller's
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, parallel) }, worker));
}
