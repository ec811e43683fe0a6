/**
 * An innocent client beside the offender: goes round trip after round trip (a
 * confirmed publish to its own queue, and the message back) and knows the
 * slowest.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../../support/raw-client/connect.ts';
import type { BrokerAddress, RawConnection } from '../../support/raw-client/connection.ts';

const PAUSE_MS = 10;
/** Also beside something that is over at once. */
const BEATS_MIN = 10;

export class Pulse {
  beats = 0;
  slowestMs = 0;
  private readonly connection: RawConnection;
  private isStopping = false;
  private running: Promise<void> = Promise.resolve();

  private constructor(connection: RawConnection) {
    this.connection = connection;
  }

  static async start(address: BrokerAddress): Promise<Pulse> {
    const pulse = new Pulse(await connect(address));
    pulse.running = pulse.run();
    pulse.running.catch(() => {}); // told by `stop`
    return pulse;
  }

  /** Ends after the beat under way, or the tenth; rejects when one was not answered. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
    this.connection.destroy();
  }

  private async run(): Promise<void> {
    const channel = await this.connection.openChannel();
    const queue = await channel.declareQueue({ exclusive: true });
    await channel.call('confirm.select');
    while (!this.isStopping || this.beats < BEATS_MIN) {
      const startedAt = performance.now();
      this.beats += 1;
      channel.publish({ routingKey: queue, body: String(this.beats) });
      await channel.expect('basic.ack');
      await channel.mustGet(queue, { noAck: true });
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
      await delay(PAUSE_MS);
    }
  }
}
