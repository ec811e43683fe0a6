/**
 * Share of time in which a queue's consumers could take more than there was: 1
 * means that they are quicker than the publishers. A moving average over about
 * a second; RabbitMQ's consumer_capacity.
 */
const SAMPLE_MS = 100;
const SAMPLE_WEIGHT = 0.2;

export class ConsumerCapacity {
  private isFree = false;
  private lastMs = 0;
  private sampleMs = 0;
  private freeMs = 0;
  private average = 0;

  get value(): number {
    return this.average;
  }

  /** At the end of each turn in which the queue worked. @param isFree somebody can take more now */
  sample(nowMs: number, isFree: boolean): void {
    const elapsedMs = nowMs - this.lastMs;
    this.lastMs = nowMs;
    this.sampleMs += elapsedMs;
    if (this.isFree) this.freeMs += elapsedMs;
    this.isFree = isFree;
    if (this.sampleMs < SAMPLE_MS) return;
    const weight = Math.min(1, (SAMPLE_WEIGHT * this.sampleMs) / SAMPLE_MS);
    this.average += weight * (this.freeMs / this.sampleMs - this.average);
    this.sampleMs = 0;
    this.freeMs = 0;
  }
}
