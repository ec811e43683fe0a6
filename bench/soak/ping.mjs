// A worker thread with an event loop of its own: one message to itself at a
// time, over an exclusive queue, and how long it took. Posts, when asked, the
// times in milliseconds since it was asked last.
import { parentPort, workerData } from 'node:worker_threads';
import amqp from 'amqplib';

const { uri, perSecond } = workerData;
const connection = await amqp.connect(uri, { noDelay: true });
const channel = await connection.createChannel();
const { queue } = await channel.assertQueue('', { exclusive: true });
let times = [];
let sentAt = 0;
await channel.consume(
  queue,
  () => {
    times.push(performance.now() - sentAt);
    sentAt = 0;
  },
  { noAck: true },
);
const body = Buffer.alloc(64);
const timer = setInterval(() => {
  if (sentAt !== 0) return; // the last one is not back yet: its time will say so
  sentAt = performance.now();
  channel.sendToQueue(queue, body);
}, 1000 / perSecond);
parentPort.on('message', (word) => {
  if (word === 'stop') {
    clearInterval(timer);
    connection.close().then(() => process.exit(0));
    return;
  }
  if (sentAt !== 0) times.push(performance.now() - sentAt);
  parentPort.postMessage(times);
  times = [];
});
parentPort.postMessage('ready');
