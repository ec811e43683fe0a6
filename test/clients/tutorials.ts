/**
 * RabbitMQ's tutorials 1 to 7 as its documentation writes them for amqplib, made
 * functions: each prints through `print` what the tutorial's program prints, and
 * queue and exchange names get a suffix so that runs do not meet.
 *
 * Source: rabbitmq-tutorials, javascript-nodejs/src.
 */
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib';

export type Print = (line: string) => void;

const ERROR_LEVELS = ['info', 'warning', 'error'];

/** 1. Hello World */
export async function sendHello(connection: ChannelModel, queue: string, print: Print): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: false });
  channel.sendToQueue(queue, Buffer.from('Hello World!'));
  print(' [x] Sent Hello World!');
  await channel.close();
}

export async function receiveHello(connection: ChannelModel, queue: string, print: Print): Promise<Channel> {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: false });
  await channel.consume(queue, (message) => print(` [x] Received ${textOf(message)}`), { noAck: true });
  return channel;
}

/** 2. Work queues */
export async function newTask(connection: ChannelModel, queue: string, task: string, print: Print): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: true });
  channel.sendToQueue(queue, Buffer.from(task), { persistent: true });
  print(` [x] Sent '${task}'`);
  await channel.close();
}

/** Each task is done when the test says so: the tutorial waits a second per dot. */
export async function worker(
  connection: ChannelModel,
  queue: string,
  print: Print,
  work: (task: string) => Promise<void>,
): Promise<Channel> {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: true });
  await channel.prefetch(1);
  await channel.consume(queue, (message) => {
    if (message === null) return;
    print(` [x] Received ${textOf(message)}`);
    void work(textOf(message)).then(() => {
      print(' [x] Done');
      channel.ack(message);
    });
  });
  return channel;
}

/** 3. Publish/Subscribe */
export async function emitLog(connection: ChannelModel, exchange: string, text: string, print: Print): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'fanout', { durable: false });
  channel.publish(exchange, '', Buffer.from(text));
  print(` [x] Sent ${text}`);
  await channel.close();
}

export async function receiveLogs(connection: ChannelModel, exchange: string, print: Print): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'fanout', { durable: false });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, exchange, '');
  await channel.consume(queue, (message) => print(` [x] ${textOf(message)}`), { noAck: true });
}

/** 4. Routing */
export async function emitLogDirect(
  connection: ChannelModel,
  exchange: string,
  severity: string,
  text: string,
  print: Print,
): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'direct', { durable: false });
  channel.publish(exchange, severity, Buffer.from(text));
  print(` [x] Sent ${severity}: '${text}'`);
  await channel.close();
}

export async function receiveLogsDirect(
  connection: ChannelModel,
  exchange: string,
  severities: readonly string[],
  print: Print,
): Promise<void> {
  if (!severities.every((severity) => ERROR_LEVELS.includes(severity))) throw new Error('unknown severity');
  await receiveByKeys(connection, exchange, 'direct', severities, print);
}

/** 5. Topics */
export async function emitLogTopic(
  connection: ChannelModel,
  exchange: string,
  key: string,
  text: string,
  print: Print,
): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'topic', { durable: false });
  channel.publish(exchange, key, Buffer.from(text));
  print(` [x] Sent ${key}:'${text}'`);
  await channel.close();
}

export async function receiveLogsTopic(
  connection: ChannelModel,
  exchange: string,
  keys: readonly string[],
  print: Print,
): Promise<void> {
  await receiveByKeys(connection, exchange, 'topic', keys, print);
}

/** 6. RPC */
export async function rpcServer(connection: ChannelModel, queue: string, print: Print): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: false });
  await channel.prefetch(1);
  print(' [x] Awaiting RPC requests');
  await channel.consume(queue, (message) => {
    if (message === null) return;
    const n = Number(textOf(message));
    print(` [.] fib(${n})`);
    const { replyTo, correlationId } = message.properties;
    channel.sendToQueue(String(replyTo), Buffer.from(String(fibonacci(n))), { correlationId: String(correlationId) });
    channel.ack(message);
  });
}

/** @param replyTo a queue of its own as in the tutorial, or direct reply-to */
export async function rpcClient(
  connection: ChannelModel,
  queue: string,
  n: number,
  replyTo: 'own queue' | 'direct',
  print: Print,
): Promise<void> {
  const channel = await connection.createChannel();
  const answers =
    replyTo === 'direct' ? 'amq.rabbitmq.reply-to' : (await channel.assertQueue('', { exclusive: true })).queue;
  const correlationId = `request for ${n}`;
  print(` [x] Requesting fib(${n})`);
  const answered = new Promise<string>((resolve) => {
    const onAnswer = (message: ConsumeMessage | null): void => {
      if (message?.properties.correlationId === correlationId) resolve(textOf(message));
    };
    void channel.consume(answers, onAnswer, { noAck: true }).then(() => {
      channel.sendToQueue(queue, Buffer.from(String(n)), { correlationId, replyTo: answers });
    });
  });
  print(` [.] Got ${await answered}`);
  await channel.close();
}

/** 7. Publisher confirms, one by one, then in batches. */
export async function publishConfirmed(
  channel: ConfirmChannel,
  queue: string,
  messages: number,
  batchSize: number,
  print: Print,
): Promise<void> {
  for (let count = 0; count < messages; count += 1) {
    channel.sendToQueue(queue, Buffer.from(String(count)), { persistent: true });
    if ((count + 1) % batchSize === 0) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
  print(`Published ${messages} messages in batches of ${batchSize}`);
}

export function textOf(message: ConsumeMessage | null): string {
  if (message === null) throw new Error('the broker cancelled the consumer');
  return message.content.toString();
}

async function receiveByKeys(
  connection: ChannelModel,
  exchange: string,
  type: string,
  keys: readonly string[],
  print: Print,
): Promise<void> {
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, type, { durable: false });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (const key of keys) await channel.bindQueue(queue, exchange, key);
  const show = (message: ConsumeMessage | null): void =>
    print(` [x] ${message?.fields.routingKey}: '${textOf(message)}'`);
  await channel.consume(queue, show, { noAck: true });
}

function fibonacci(n: number): number {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
