// A process of its own: an innocent client beside the offender. Publishes 64
// bytes to its own queue at fixed moments, whether or not the last one is back,
// and knows how long each took from the moment it was due: a broker that stops
// for a second shows in two hundred figures, not in one.
//
// Comes in: the address as JSON; 'measure' and 'report' over the channel of
// `fork`. Goes out: {p50, p99, max, count} in milliseconds since 'measure'.
import { Client } from './client.mjs';
import * as frames from './frames.mjs';

const perSecond = 200;
const bodyBytes = 64;
/** A timer may be so late without it being the broker's doing. */
const timerLateMs = 2;

const { isPublishing, ...address } = JSON.parse(process.argv[2]);
const queue = `witness-${process.pid}`;
const client = await Client.open(address);
client.write(frames.declareQueue(1, queue, { exclusive: true }));
client.write(frames.consume(1, queue, { noAck: true }));
await client.until(frames.id.consumeOk);

const message = isPublishing
  ? frames.publish(1, { routingKey: queue, body: Buffer.alloc(bodyBytes) })
  : frames.declareQueue(1, queue, { passive: true });
const answer = isPublishing ? frames.id.deliver : frames.id.declareOk;
const waiting = [];
let times = [];
client.onMethod = (methodId) => {
  if (methodId === answer) times.push(performance.now() - waiting.shift());
};

const intervalMs = 1000 / perSecond;
let dueAtMs = performance.now() + intervalMs;
setInterval(() => {
  const nowMs = performance.now();
  for (; dueAtMs <= nowMs; dueAtMs += intervalMs) {
    waiting.push(nowMs - dueAtMs > timerLateMs ? dueAtMs : nowMs);
    client.write(message);
  }
  if (client.isClosed) {
    process.send({ error: `the witness was disconnected: ${client.toldText()}` });
    process.exit(1);
  }
}, 1);

process.on('message', (word) => {
  if (word === 'report') process.send(report());
  times = [];
});
process.on('disconnect', () => process.exit(0));
process.send({ isReady: true });

function report() {
  const nowMs = performance.now();
  const all = Float64Array.from([...times, ...waiting.map((sinceMs) => nowMs - sinceMs)]).sort();
  const at = (share) => all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: all.length, unanswered: waiting.length };
}
