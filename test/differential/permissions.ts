/**
 * Every method by a user whose rights are in the names of things: `cw-q` is a
 * queue to configure and to write to, but not to read from. Who is refused, in
 * which words and in which order of checks is compared on both brokers.
 *
 * In: two brokers with their operators. Out: the cases they answer differently.
 */
import type { BrokerAdmin } from '../support/broker/admin.ts';
import { connect } from '../support/raw-client/connect.ts';
import type { BrokerAddress, RawConnection } from '../support/raw-client/connection.ts';
import type { FieldInputs } from '../support/raw-client/method-codec.ts';
import { textOf } from './normalise.ts';

export interface PermissionBroker {
  readonly address: BrokerAddress;
  readonly admin: BrokerAdmin;
}

interface Case {
  readonly method: string;
  readonly fields: FieldInputs;
}

const RIGHTS = ['', 'c', 'w', 'r', 'cw', 'cr', 'wr', 'cwr'];
const USER = 'rights-in-names';
const TOPIC_EXCHANGE = 'cwr-topic';
const GUEST_CHANNEL = 1;
/** Is there before each case. */
const EXISTING = RIGHTS.flatMap((rights) => [
  { method: 'queue.declare', fields: { queue: `${rights}-q`, durable: true } },
  { method: 'exchange.declare', fields: { exchange: `${rights}-x`, type: 'fanout', durable: true } },
  { method: 'exchange.declare', fields: { exchange: `${rights}-i`, type: 'fanout', internal: true } },
]);
/** Is not. */
const LEFT_OVER = RIGHTS.flatMap((rights) => [
  { method: 'queue.delete', fields: { queue: `${rights}-new` } },
  { method: 'exchange.delete', fields: { exchange: `${rights}-new` } },
]);

function casesOf(rights: string): Case[] {
  const ends = [`${rights}-q`, `${rights}-missing`];
  const exchanges = [`${rights}-x`, `${rights}-missing`, `${rights}-i`];
  const queueCases = ends.flatMap((queue) => [
    { method: 'queue.declare', fields: { queue, passive: true } },
    { method: 'queue.purge', fields: { queue } },
    { method: 'basic.get', fields: { queue, noAck: true } },
    { method: 'basic.consume', fields: { queue, consumerTag: 'c' } },
    { method: 'queue.delete', fields: { queue } },
    { method: 'queue.bind', fields: { queue, exchange: '' } },
    { method: 'queue.bind', fields: { queue, exchange: 'amq.fanout' } },
  ]);
  const exchangeCases = exchanges.flatMap((exchange) => [
    { method: 'exchange.declare', fields: { exchange, type: 'fanout', passive: true } },
    { method: 'exchange.delete', fields: { exchange } },
    { method: 'basic.publish', fields: { exchange, routingKey: 'k' } },
    { method: 'exchange.bind', fields: { source: '', destination: exchange } },
    { method: 'exchange.bind', fields: { source: exchange, destination: '' } },
  ]);
  return [
    ...queueCases,
    ...exchangeCases,
    { method: 'queue.declare', fields: { queue: `${rights}-new` } },
    { method: 'queue.declare', fields: { queue: `${rights}-q`, durable: true } },
    { method: 'queue.declare', fields: { queue: `${rights}-q` } },
    { method: 'exchange.declare', fields: { exchange: `${rights}-new`, type: 'fanout' } },
    { method: 'exchange.declare', fields: { exchange: `${rights}-x`, type: 'fanout', durable: true } },
    { method: 'exchange.declare', fields: { exchange: `${rights}-x`, type: 'direct' } },
    { method: 'exchange.declare', fields: { exchange: `${rights}-new`, type: 'nope' } },
    ...RIGHTS.flatMap((others) => pairsOf(rights, others)),
  ];
}

/** Methods that touch two things. */
function pairsOf(rights: string, others: string): Case[] {
  const cases: Case[] = [];
  for (const [here, there] of [
    ['q', 'x'],
    ['missing', 'x'],
    ['q', 'missing'],
  ]) {
    const fields = { queue: `${rights}-${here}`, exchange: `${others}-${there}` };
    cases.push({ method: 'queue.bind', fields }, { method: 'queue.unbind', fields });
  }
  for (const [here, there] of [
    ['x', 'x'],
    ['missing', 'x'],
    ['x', 'missing'],
  ]) {
    const fields = { destination: `${rights}-${here}`, source: `${others}-${there}` };
    cases.push({ method: 'exchange.bind', fields }, { method: 'exchange.unbind', fields });
  }
  const deadLetter = { 'x-dead-letter-exchange': `${others}-missing` };
  for (const name of ['new', 'q']) {
    const fields = { queue: `${rights}-${name}`, durable: true, arguments: deadLetter };
    cases.push({ method: 'queue.declare', fields });
  }
  const alternate = { 'alternate-exchange': `${others}-missing` };
  for (const name of ['new', 'x']) {
    const fields = { exchange: `${rights}-${name}`, type: 'fanout', durable: true, arguments: alternate };
    cases.push({ method: 'exchange.declare', fields });
  }
  return cases;
}

const WITHOUT_RIGHTS_IN_NAMES: readonly Case[] = [
  { method: 'queue.declare', fields: {} },
  { method: 'queue.declare', fields: { queue: 'amq.q' } },
  { method: 'queue.declare', fields: { queue: 'amq.rabbitmq.reply-to' } },
  { method: 'basic.consume', fields: { queue: 'amq.rabbitmq.reply-to', noAck: true } },
  { method: 'basic.publish', fields: { routingKey: 'cwr-q' } },
  { method: 'exchange.declare', fields: { exchange: 'amq.x', type: 'fanout' } },
  { method: 'exchange.declare', fields: { exchange: 'amq.fanout', type: 'fanout', durable: true } },
  { method: 'exchange.delete', fields: { exchange: 'amq.fanout' } },
  { method: 'exchange.delete', fields: { exchange: '' } },
  { method: 'basic.publish', fields: { exchange: 'amq.fanout' } },
  ...['a', 'b', 'ab', ''].flatMap((routingKey) => [
    { method: 'basic.publish', fields: { exchange: TOPIC_EXCHANGE, routingKey } },
    { method: 'queue.bind', fields: { queue: 'cwr-q', exchange: TOPIC_EXCHANGE, routingKey } },
    { method: 'queue.unbind', fields: { queue: 'cwr-q', exchange: TOPIC_EXCHANGE, routingKey } },
    { method: 'exchange.bind', fields: { destination: 'cwr-x', source: TOPIC_EXCHANGE, routingKey } },
    { method: 'queue.bind', fields: { queue: 'r-q', exchange: TOPIC_EXCHANGE, routingKey } },
    { method: 'queue.bind', fields: { queue: 'cwr-missing', exchange: TOPIC_EXCHANGE, routingKey } },
  ]),
];

export const PERMISSION_CASES: readonly Case[] = [...RIGHTS.flatMap(casesOf), ...WITHOUT_RIGHTS_IN_NAMES];

/** @returns a line for each case that the two answer differently */
export async function comparePermissions(warren: PermissionBroker, rabbit: PermissionBroker): Promise<string[]> {
  const [ours, theirs] = await Promise.all([answersOf(warren), answersOf(rabbit)]);
  return PERMISSION_CASES.flatMap(({ method, fields }, index) => {
    if (ours[index] === theirs[index]) return [];
    return [`${method} ${JSON.stringify(fields)}\n  R  ${theirs[index]}\n  W  ${ours[index]}`];
  });
}

async function answersOf({ address, admin }: PermissionBroker): Promise<string[]> {
  await admin.addUser(USER, USER);
  await admin.setPermissions(USER, '/', { configure: '^[cwr]*c', write: '^[cwr]*w', read: '^[cwr]*r' });
  await admin.setTopicPermissions(USER, '/', TOPIC_EXCHANGE, '^a', '^b');
  const guest = await connect(address);
  await guest.openChannel(GUEST_CHANNEL);
  await ask(guest, { method: 'exchange.declare', fields: { exchange: TOPIC_EXCHANGE, type: 'topic' } });
  await restore(guest);
  const user = new RestrictedUser(address);
  const answers: string[] = [];
  for (const one of PERMISSION_CASES) {
    answers.push(await user.answer(one));
    if (/declare|delete/.test(one.method)) await restore(guest);
  }
  user.close();
  await cleanUp(guest);
  await guest.close();
  await admin.deleteUser(USER);
  return answers;
}

async function restore(guest: RawConnection): Promise<void> {
  for (const step of [...EXISTING, ...LEFT_OVER]) guest.sendMethod(GUEST_CHANNEL, step.method, step.fields);
  for (const { method } of [...EXISTING, ...LEFT_OVER]) await guest.expect(GUEST_CHANNEL, `${method}-ok`);
}

async function cleanUp(guest: RawConnection): Promise<void> {
  for (const rights of RIGHTS) {
    await ask(guest, { method: 'queue.delete', fields: { queue: `${rights}-q` } });
    await ask(guest, { method: 'exchange.delete', fields: { exchange: `${rights}-x` } });
    await ask(guest, { method: 'exchange.delete', fields: { exchange: `${rights}-i` } });
  }
  await ask(guest, { method: 'exchange.delete', fields: { exchange: TOPIC_EXCHANGE } });
}

async function ask(guest: RawConnection, { method, fields }: Case): Promise<void> {
  guest.sendMethod(GUEST_CHANNEL, method, fields);
  await guest.expect(GUEST_CHANNEL, `${method}-ok`);
}

/** A channel for each case; another connection when a refusal has ended one. */
class RestrictedUser {
  private readonly address: BrokerAddress;
  private connection: RawConnection | null = null;

  constructor(address: BrokerAddress) {
    this.address = address;
  }

  async answer({ method, fields }: Case): Promise<string> {
    this.connection ??= await connect(this.address, { user: USER, password: USER });
    const { connection } = this;
    const channel = await connection.openChannel(1);
    channel.send(method, fields);
    if (method === 'basic.publish') connection.sendContent(1, {}, Buffer.from('x'));
    const said: string[] = [];
    try {
      // Twice: what a queue says to the first may come after the answer to it.
      if (await this.hear(connection, said)) await this.hear(connection, said);
      if (!said.some((line) => line.startsWith('channel.close'))) await channel.close();
      else channel.send('channel.close-ok');
    } catch {
      said.push(textOf(await connection.next(0)));
      this.close();
    }
    return said.join('; ').replace(/amq\.(gen|ctag)-[\w-]{22}/g, 'amq.$1');
  }

  close(): void {
    this.connection?.destroy();
    this.connection = null;
  }

  /** False when the channel was closed. */
  private async hear(connection: RawConnection, said: string[]): Promise<boolean> {
    connection.sendMethod(1, 'channel.flow', { active: true });
    for (;;) {
      const answer = await connection.next(1);
      if (answer.name === 'channel.flow-ok') return true;
      said.push(textOf(answer));
      if (answer.name === 'channel.close') return false;
    }
  }
}
