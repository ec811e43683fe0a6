/**
 * What one message costs in a queue led here, sinks and sockets aside: publish,
 * hand over, settle. Run the built file: `node dist/bench/micro/queue.js`.
 */
import { performance } from 'node:perf_hooks';
import { type Queue, type QueueReplySink, SettleOutcome } from '../../node/broker/queue/queue.ts';
import { messageOf, TestBench } from '../../test/support/queues/test-bench.ts';

const ROUNDS = 2000;
const MESSAGES_PER_TURN = 500;
const replies: QueueReplySink = { onQueueReply: () => {} };
const publisher = { onPublished: () => {}, onFlow: () => {} };

/** Settles what it was given when the turn is over, as a client would. */
class AckingConsumer {
  private readonly queue: Queue;
  private readonly positions: number[] = [];
  count = 0;

  constructor(queue: Queue) {
    this.queue = queue;
  }

  onDelivery(_holder: number, _epoch: number, position: number): void {
    this.count++;
    this.positions.push(position);
  }

  settleAll(holder: number): void {
    for (const position of this.positions) this.queue.settle(holder, 1, position, SettleOutcome.accept);
    this.positions.length = 0;
  }

  onCancelled(): void {}
  onAckTimeout(): void {}
}

function run(name: string, isAutoAck: boolean, consumerCount: number): void {
  const bench = new TestBench({ definition: { isDurable: false }, limits: { windowBytesMax: 64_000_000 } });
  const { queue } = bench;
  const consumers = Array.from({ length: consumerCount }, () => new AckingConsumer(queue));
  const description = { connectionName: 'c', channelNumber: 1, user: 'guest', arguments: {} };
  consumers.forEach((consumer, index) => {
    const request = { holder: index + 1, consumerTag: 't', isAutoAck, isExclusive: false, priority: 0, prefetch: 0 };
    queue.subscribe({ ...request, ackTimeoutMs: 0, description }, consumer, replies, 1);
  });
  const message = messageOf('0123456789abcdef');
  const round = () => {
    for (let i = 0; i < MESSAGES_PER_TURN; i++) queue.publish(message, publisher, i);
    bench.turn();
    if (isAutoAck) return;
    for (let i = 0; i < consumers.length; i++) consumers[i]!.settleAll(i + 1);
  };
  for (let i = 0; i < 200; i++) round();
  const startMs = performance.now();
  for (let i = 0; i < ROUNDS; i++) round();
  const ns = ((performance.now() - startMs) * 1e6) / (ROUNDS * MESSAGES_PER_TURN);
  process.stdout.write(`${name}: ${ns.toFixed(0)} ns per message\n`);
}

run('publish + deliver, auto-ack, 1 consumer', true, 1);
run('publish + deliver + settle, 1 consumer', false, 1);
run('publish + deliver, auto-ack, 300 consumers', true, 300);
run('publish + deliver + settle, 300 consumers', false, 300);
