/**
 * An innocent client beside the offender: goes round trip after round trip (a
 * confirmed publish to its own queue, and the message back) and knows the
 * slowest, without what the broker and this process waited for a processor.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../../support/raw-client/connect.ts';
import type { BrokerAddress, RawConnection } from '../../support/raw-client/connection.ts';
import { FairClock } from './fair-clock.ts';

const PAUSE_MS = 10;

export class Pulse {
  /** Round trips that have ended. */
  answered = 0;
  slowestMs = 0;
  private readonly connection: RawConnection;
  private readonly clock: FairClock;
  private isStopping = false;
  private hasEnded = false;
  private running: Promise<void> = Promise.resolve();

  private constructor(connection: RawConnection, brokerPid: number) {
    this.connection = connection;
    this.clock = new FairClock(brokerPid);
  }

  static async start(address: BrokerAddress, brokerPid: number): Promise<Pulse> {
    const pulse = new Pulse(await connect(address), brokerPid);
    const onEnd = (): void => {
      pulse.hasEnded = true; // why is told by `answers` and `stop`
    };
    pulse.running = pulse.run();
    pulse.running.then(onEnd, onEnd);
    return pulse;
  }

  /** Resolves when it was answered `count` times more; rejects when it was not. */
  async answers(count: number): Promise<void> {
    const until = this.answered + count;
    while (this.answered < until && !this.hasEnded) await delay(PAUSE_MS);
    if (this.answered < until) await this.running;
  }

  /** Ends after the beat under way; rejects when one was not answered. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
    this.connection.destroy();
  }

  private async run(): Promise<void> {
    const channel = await this.connection.openChannel();
    const queue = await channel.declareQueue({ exclusive: true });
    await channel.call('confirm.select');
    while (!this.isStopping) {
      const start = this.clock.now();
      channel.publish({ routingKey: queue, body: String(this.answered) });
      await channel.expect('basic.ack');
      await channel.mustGet(queue, { noAck: true });
      this.slowestMs = Math.max(this.slowestMs, this.clock.msSince(start));
      this.answered += 1;
      await delay(PAUSE_MS);
    }
  }
}
