/**
 * Plays a script on one broker and says what came of it, in words that two
 * brokers can be compared by.
 *
 * After each step it waits until nothing more arrives: all channels and all
 * queues are asked something in turn, since what they had to say before must
 * have arrived ahead of their answers. At the end every queue that is left is
 * emptied, so that what was kept is compared too, and everything is deleted.
 */
import type { BrokerAddress } from '../support/raw-client/connection.ts';
import type { FieldInputs, Method } from '../support/raw-client/method-codec.ts';
import { ODD_QUEUE, OTHERWISE_ENDED, sendMalformed } from './malformed.ts';
import { Names, textOf, withoutTag } from './normalise.ts';
import { type PublishStep, type Script, type SettleStep, SHORT_TTL_MS, type Step, withPrefix } from './script.ts';
import { CONTROL_CHANNEL, type Heard, Session } from './session.ts';

/** Lines: what was heard after each step, the queues' counts with it, and at last what the queues held. */
export type Outcome = readonly (readonly string[])[];

const ROUNDS_MAX = 8;
/** What may not be followed by anything before its answer: RabbitMQ ends the connection then. */
const ANSWERED_FIRST = new Set(['channel.close', 'tx.commit']);
const NEVER_GIVEN_TAG = 99;
const LOCKED_TRIES_MAX = 200;
/** Long enough for every short TTL of the scripts to be over. */
const SHORT_TTL_OVER_MS = 60;
/** Quorum queues say what they have to say a little later than they are asked. */
const QUORUM_MS = 15;

export class Player {
  private readonly sessions: readonly Session[];
  private readonly control: Session;
  private readonly names: Names;
  private readonly prefix: string;
  /** Queues that were declared, with the connection an exclusive one belongs to. */
  private readonly queues = new Map<string, number | null>();
  private readonly quorumQueues = new Set<string>();
  private readonly exchanges = new Set<string>();
  /** Those between predeclared exchanges outlive all the rest. */
  private readonly exchangeBindings: FieldInputs[] = [];
  private bodies = 0;

  constructor(address: BrokerAddress, prefix: string) {
    this.sessions = [new Session(address), new Session(address)];
    this.control = new Session(address);
    this.prefix = prefix;
    this.names = new Names(prefix);
  }

  async play(script: Script): Promise<Outcome> {
    const outcome: string[][] = [];
    const isTimed = hasShortTtl(script);
    try {
      for (const step of script) {
        await this.take(withPrefix(step, this.prefix));
        if (isTimed) await pause(SHORT_TTL_OVER_MS);
        else if (this.quorumQueues.size > 0) await pause(QUORUM_MS);
        const counts = await this.settleDown();
        outcome.push([...this.report(step), ...counts.map((line) => this.names.hide(line))]);
      }
      outcome.push(await this.remains());
    } catch (error) {
      outcome.push([`fault: ${error instanceof Error ? error.message : String(error)}`]);
    }
    await this.cleanUp();
    return outcome;
  }

  private async take(step: Step): Promise<void> {
    if (step.kind === 'drop' || step.kind === 'goodbye') {
      const session = this.sessions[step.connection]!;
      const hadConnection = session.isConnected;
      await session.endConsumers('auto-ack');
      if (step.kind === 'drop') session.drop();
      else await session.goodbye();
      if (hadConnection) await this.afterEnd(step.connection);
      return;
    }
    const { connection, channel } = step.at;
    const session = this.sessions[connection]!;
    const socket = await session.open(channel);
    switch (step.kind) {
      case 'method':
        this.note(step.name, step.fields, connection, session, channel);
        if (ANSWERED_FIRST.has(step.name)) await session.ask(channel, step.name, step.fields);
        else socket.sendMethod(channel, step.name, step.fields);
        return;
      case 'publish':
        this.publish(step, session, await session.open(channel));
        return;
      case 'settle':
        this.settle(step, session, socket);
        return;
      case 'malformed':
        this.queues.set(ODD_QUEUE, null);
        sendMalformed(socket, channel, step.name);
        return;
    }
  }

  /** Remembers what has to be asked, emptied and deleted. */
  private note(name: string, fields: FieldInputs, connection: number, session: Session, channel: number): void {
    const state = session.state(channel)!;
    const queue = String(fields['queue'] ?? '');
    if (name === 'queue.declare' && queue !== '' && fields['passive'] !== true && !this.queues.has(queue)) {
      this.queues.set(queue, fields['exclusive'] === true ? connection : null);
      if (JSON.stringify(fields['arguments'] ?? {}).includes('quorum')) this.quorumQueues.add(queue);
    }
    if (name === 'exchange.bind') this.exchangeBindings.push(fields);
    if (name === 'exchange.declare') this.exchanges.add(String(fields['exchange']));
    if (name === 'basic.consume') state.consumerTags.add(String(fields['consumerTag']));
    if (name === 'basic.consume' && fields['noAck'] === true) state.noAckTags.add(String(fields['consumerTag']));
    if (name === 'basic.get') state.isNoAckGet = fields['noAck'] === true;
    if (name === 'confirm.select') state.isConfirming = true;
  }

  private publish(step: PublishStep, session: Session, socket: Awaited<ReturnType<Session['open']>>): void {
    const { at, exchange, routingKey, mandatory, immediate, properties } = step;
    const state = session.state(at.channel)!;
    for (let time = 0; time < step.times; time += 1) {
      this.bodies += 1;
      state.published += 1;
      socket.sendMethod(at.channel, 'basic.publish', { exchange, routingKey, mandatory, immediate });
      const body = step.bodyBytes === 0 ? '' : `m${this.bodies}`.padEnd(step.bodyBytes, '.');
      socket.sendContent(at.channel, properties, Buffer.from(body));
    }
  }

  private settle(step: SettleStep, session: Session, socket: Awaited<ReturnType<Session['open']>>): void {
    const { unsettled, isInterleaved } = session.state(step.at.channel)!;
    if (step.pick !== null && unsettled.length === 0) return; // nothing to settle: most scripts want to go on
    const { multiple, requeue } = step;
    const isAll = multiple && isInterleaved && step.pick !== null;
    const index = step.pick === null ? -1 : isAll ? unsettled.length - 1 : step.pick % unsettled.length;
    const deliveryTag = isAll ? Math.max(...unsettled) : (unsettled[index] ?? NEVER_GIVEN_TAG);
    if (index >= 0) unsettled.splice(multiple ? 0 : index, multiple && step.method !== 'basic.reject' ? index + 1 : 1);
    if (step.method === 'basic.ack') socket.sendMethod(step.at.channel, step.method, { deliveryTag, multiple });
    else if (step.method === 'basic.nack')
      socket.sendMethod(step.at.channel, step.method, { deliveryTag, multiple, requeue });
    else socket.sendMethod(step.at.channel, step.method, { deliveryTag, requeue });
  }

  /** Asks everyone in turn until a whole round brings nothing new. @returns the counts of all queues */
  private async settleDown(): Promise<readonly string[]> {
    let counts: string[] = [];
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      let arrived = 0;
      for (const [index, session] of this.sessions.entries()) {
        arrived += await session.settleDown();
        if (session.ending !== null && round === 0) await this.afterEnd(index);
      }
      this.noteServerNamed();
      const before = counts.join();
      counts = await this.counts();
      if (round > 0 && arrived === 0 && counts.join() === before) break;
    }
    for (const session of this.sessions) await session.awaitConfirms();
    return counts;
  }

  /** What an ended connection leaves behind is cleared away beside what others see: its exclusive queues are the last. */
  private async afterEnd(connection: number): Promise<void> {
    await pause(10);
    for (const [queue, owner] of this.queues) {
      if (owner !== connection) continue;
      for (let tries = 0; tries < LOCKED_TRIES_MAX; tries += 1) {
        const answer = await this.control.ask(CONTROL_CHANNEL, 'queue.declare', { queue, passive: true });
        if (answer?.name !== 'channel.close' || answer.number('replyCode') !== 405) break;
        await pause(10);
      }
      this.queues.set(queue, null);
    }
  }

  private noteServerNamed(): void {
    for (const [index, session] of this.sessions.entries()) {
      for (const heard of session.peekHeard().values()) {
        for (const reply of heard.replies) {
          if (reply.name !== 'queue.declare-ok' || !reply.text('queue').startsWith('amq.gen-')) continue;
          if (!this.queues.has(reply.text('queue'))) this.queues.set(reply.text('queue'), index);
        }
      }
    }
  }

  private async counts(): Promise<string[]> {
    const lines: string[] = [];
    for (const queue of [...this.queues.keys()]) {
      const answer = await this.inspect(queue);
      if (answer === null) this.queues.delete(queue);
      else lines.push(this.countText(queue, answer));
    }
    return lines.sort();
  }

  /** RabbitMQ counts the consumers of quorum queues late. */
  private countText(queue: string, answer: Method): string {
    const consumers = this.quorumQueues.has(queue) ? '' : `, ${answer.number('consumerCount')} consumers`;
    return `${queue}: ${answer.number('messageCount')} ready${consumers}`;
  }

  /** A passive declare by whoever may see the queue. Null: there is none. */
  private async inspect(queue: string): Promise<Method | null> {
    const owner = this.queues.get(queue) ?? null;
    const first = owner === null ? this.control : this.sessions[owner]!;
    for (const session of [first, ...this.sessions, this.control]) {
      const answer = await session.ask(CONTROL_CHANNEL, 'queue.declare', { queue, passive: true });
      if (answer?.name === 'queue.declare-ok') return answer;
      if (answer?.name === 'channel.close' && answer.number('replyCode') === 404) return null;
    }
    return null;
  }

  private report(step: Step): string[] {
    const lines: string[] = [];
    for (const [index, session] of this.sessions.entries()) {
      if (session.ending !== null) {
        const isOtherwise = step.kind === 'malformed' && OTHERWISE_ENDED.has(step.name);
        const said = session.ending === 'dropped' ? 'the socket is closed' : textOf(session.ending);
        const ending = isOtherwise ? 'ends' : said;
        lines.push(this.names.hide(`connection ${index}: ${ending}`));
        session.ending = null;
      }
      const heard = [...session.takeHeard()].sort(([one], [other]) => one - other);
      for (const [channel, what] of heard) {
        lines.push(...this.reportChannel(`${index}.${channel}`, what, session.state(channel)?.isInterleaved ?? false));
      }
    }
    return lines;
  }

  private reportChannel(place: string, heard: Heard, isInterleaved: boolean): string[] {
    const lines = heard.replies.map((method) => `${place}: ${textOf(method)}`);
    for (const [tag, methods] of [...heard.deliveries].sort(([one], [other]) => (one < other ? -1 : 1))) {
      const shown = isInterleaved ? withoutTag : textOf;
      for (const method of methods) lines.push(`${place}: to ${tag}: ${shown(method)}`);
    }
    if (heard.cancelled.length > 0) lines.push(`${place}: cancelled ${heard.cancelled.sort().join(' ')}`);
    if (heard.acked.length > 0) lines.push(`${place}: acked ${heard.acked.sort(byNumber).join(' ')}`);
    if (heard.nacked.length > 0) lines.push(`${place}: nacked ${heard.nacked.sort(byNumber).join(' ')}`);
    return lines.map((line) => this.names.hide(line));
  }

  /** What the queues hold when all connections are gone: exclusive queues went with them, unsettled messages are back. */
  private async remains(): Promise<string[]> {
    for (const [index, session] of this.sessions.entries()) {
      await session.endConsumers('all');
      await session.goodbye();
      await this.afterEnd(index);
    }
    const lines: string[] = [];
    for (const queue of [...this.queues.keys()].sort()) {
      if ((await this.inspect(queue)) === null) continue;
      const held = (await this.control.drain(queue)).map((message) =>
        this.names.hide(`${queue} held ${textOf(message)}`),
      );
      // Several that come back to a quorum queue at a time come in no order.
      if (this.quorumQueues.has(queue)) held.sort();
      lines.push(...held);
    }
    return lines;
  }

  private async cleanUp(): Promise<void> {
    for (const session of this.sessions) session.drop();
    for (const queue of this.queues.keys()) await this.control.ask(CONTROL_CHANNEL, 'queue.delete', { queue });
    for (const { nowait: _noWait, ...binding } of this.exchangeBindings) {
      await this.control.ask(CONTROL_CHANNEL, 'exchange.unbind', binding);
    }
    for (const exchange of this.exchanges) {
      if (exchange === '' || exchange.startsWith('amq.')) continue;
      await this.control.ask(CONTROL_CHANNEL, 'exchange.delete', { exchange });
    }
    await this.control.goodbye();
  }
}

function hasShortTtl(script: Script): boolean {
  return JSON.stringify(script, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)).includes(
    SHORT_TTL_MARK,
  );
}

const SHORT_TTL_MARK = String(SHORT_TTL_MS);

function byNumber(one: number, other: number): number {
  return one - other;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
