/**
 * Carries out operations with real sockets: two publishers, three consuming
 * channels on two connections, and an observer that declares, purges, deletes
 * and counts. After every step whatever was wrong with what has arrived is
 * thrown.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TestBroker } from '../../support/broker/broker.ts';
import { uniqueName } from '../../support/raw-client/channel.ts';
import { connect } from '../../support/raw-client/connect.ts';
import type { RawConnection } from '../../support/raw-client/connection.ts';
import type { TableObject } from '../../support/raw-client/table.ts';
import { type Copy, type QueueKind, QueueLedger } from './ledger.ts';
import type { Operation } from './operations.ts';
import { Party } from './party.ts';

/** One connection with its channels; `guard` is an exclusive queue: gone when the broker has seen the connection's end. */
interface Link {
  readonly connection: RawConnection;
  readonly guard: string;
  readonly parties: Party[];
  readonly isPublishing: boolean;
}

const LINKS = [
  { isPublishing: true, channels: 1 },
  { isPublishing: true, channels: 1 },
  { isPublishing: false, channels: 2 },
  { isPublishing: false, channels: 1 },
];
const KINDS: readonly QueueKind[] = ['durable', 'transient', 'quorum', 'letters'];
const PATIENCE_MS = 5000;

export class RandomClient {
  private readonly broker: TestBroker;
  private readonly exchange = uniqueName('all');
  private readonly queues: QueueLedger[] = [];
  private readonly links: Link[] = [];
  private observer: Party;
  private readonly unnoticed: string[] = [];
  private nextName = 1;

  private constructor(broker: TestBroker, observer: Party) {
    this.broker = broker;
    this.observer = observer;
  }

  static async run(broker: TestBroker, operations: readonly Operation[]): Promise<void> {
    const observer = await Party.open('observer', await connect(broker.address), false);
    const client = new RandomClient(broker, observer);
    try {
      await client.setUp();
      for (const operation of operations) {
        await client.carryOut(operation);
        for (const party of client.parties()) party.check();
      }
      for (const queue of client.queues) await client.check(queue);
    } finally {
      await client.tearDown();
    }
  }

  private async setUp(): Promise<void> {
    await this.observer.call('exchange.declare', { exchange: this.exchange, type: 'fanout', durable: true });
    for (const kind of KINDS) {
      const queue = new QueueLedger(uniqueName(kind), kind, () => (kind === 'durable' ? this.letters() : null));
      this.queues.push(queue);
    }
    for (const queue of this.queues) await this.declare(queue);
    for (const link of LINKS) this.links.push(await this.open(link.isPublishing, link.channels));
  }

  private async tearDown(): Promise<void> {
    for (const { connection } of this.links) connection.destroy();
    this.observer.connection.destroy();
    const cleaner = await Party.open('cleaner', await connect(this.broker.address), false);
    for (const queue of this.queues) await cleaner.call('queue.delete', { queue: queue.name });
    await cleaner.call('exchange.delete', { exchange: this.exchange });
    cleaner.end();
    cleaner.connection.destroy();
  }

  private letters(): QueueLedger {
    return this.queues.find((queue) => queue.kind === 'letters')!;
  }

  private async declare({ name, kind }: QueueLedger): Promise<void> {
    const letters = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': this.letters().name };
    const table: Record<QueueKind, TableObject> = {
      durable: letters,
      transient: {},
      quorum: { 'x-queue-type': 'quorum' },
      letters: {},
    };
    await this.observer.call('queue.declare', { queue: name, durable: kind !== 'transient', arguments: table[kind] });
    if (kind !== 'letters') await this.observer.call('queue.bind', { queue: name, exchange: this.exchange });
  }

  private async open(isPublishing: boolean, channels: number): Promise<Link> {
    const connection = await connect(this.broker.address);
    const parties: Party[] = [];
    for (let count = 0; count < channels; count++) parties.push(await this.openParty(connection, isPublishing));
    const guard = uniqueName('guard');
    await parties[0]!.call('queue.declare', { queue: guard, exclusive: true });
    return { connection, guard, parties, isPublishing };
  }

  private openParty(connection: RawConnection, isPublishing: boolean): Promise<Party> {
    return Party.open(`${isPublishing ? 'p' : 'c'}${this.nextName++}`, connection, isPublishing);
  }

  // Who is meant.

  private parties(): Party[] {
    return [...this.links.flatMap((link) => link.parties), this.observer];
  }

  private publishers(): Party[] {
    return this.links.filter((link) => link.isPublishing).flatMap((link) => link.parties);
  }

  private consumer(choice: number): Party {
    const consumers = this.links.filter((link) => !link.isPublishing).flatMap((link) => link.parties);
    return consumers[choice % consumers.length]!;
  }

  private queue(choice: number): QueueLedger {
    return this.queues[choice % this.queues.length]!;
  }

  // What is done.

  private carryOut(operation: Operation): Promise<unknown> | undefined {
    switch (operation.type) {
      case 'publish':
        return this.publish(operation);
      case 'confirm':
        return this.publishers()[operation.by % 2]!.confirmed();
      case 'consume':
        return this.consumer(operation.on).consume(
          this.queue(operation.queue),
          operation.isAutoAck,
          operation.prefetch,
        );
      case 'cancel':
        return this.cancel(this.consumer(operation.on), operation.which);
      case 'limit':
        return this.consumer(operation.on).limit(operation.prefetch);
      case 'get':
        return this.consumer(operation.on).get(this.queue(operation.queue), operation.isAutoAck);
      case 'settle':
        return this.settle(this.consumer(operation.on), operation);
      case 'recover':
        return this.consumer(operation.on).recover();
      case 'pause':
        return this.pause(operation.turns);
      case 'purge':
        return this.purge(this.queue(operation.queue));
      case 'redeclare':
        return this.redeclare(operation.queue % this.queues.length);
      case 'closeChannel':
        return this.closeChannel(this.consumer(operation.on));
      case 'closeConnection':
        return this.closeConnection(operation.which % this.links.length);
      case 'cut':
        return this.cut(operation.which % this.links.length, operation.asks, this.queue(operation.queue));
      case 'restart':
        return this.restart();
      case 'check':
        return this.check(this.queue(operation.queue));
    }
  }

  private publish({ by, to, count, isPersistent, fill }: Operation & { type: 'publish' }): undefined {
    const publisher = this.publishers()[by % 2]!;
    const targets = this.queues.filter((queue) => queue.kind !== 'letters');
    const target = targets[to % (targets.length + 1)];
    for (let i = 0; i < count; i++) {
      if (target === undefined) publisher.publish(this.exchange, '', targets, isPersistent, fill);
      else publisher.publish('', target.name, [target], isPersistent, fill);
    }
  }

  private async cancel(consumer: Party, choice: number): Promise<void> {
    const tags = [...consumer.subscriptions.keys()];
    if (tags.length > 0) await consumer.call('basic.cancel', { consumerTag: tags[choice % tags.length]! });
  }

  private settle(consumer: Party, { which, isMultiple, how }: Operation & { type: 'settle' }): undefined {
    const tags = [...consumer.held.keys()];
    if (tags.length > 0) consumer.settle(tags[which % tags.length]!, isMultiple, how);
  }

  private async pause(turns: number): Promise<void> {
    for (let i = 0; i < turns; i++) await nextTurn();
  }

  private async purge(queue: QueueLedger): Promise<void> {
    const ok = await this.observer.call('queue.purge', { queue: queue.name });
    queue.onPurged(ok.number('messageCount'));
  }

  private async redeclare(index: number): Promise<void> {
    const queue = this.queues[index]!;
    await this.syncAll();
    await this.observer.call('queue.delete', { queue: queue.name });
    await this.syncAll(); // what was delivered before is here
    await this.declare(this.succeed(index));
  }

  /** The queue is no more; another one will have its name. */
  private succeed(index: number): QueueLedger {
    const queue = this.queues[index]!;
    const successor = new QueueLedger(queue.name, queue.kind, () => queue.deadLetters);
    this.queues[index] = successor;
    queue.end(successor);
    return successor;
  }

  private async restart(): Promise<void> {
    await this.syncAll();
    for (const queue of this.queues) await this.counts(queue); // what was sent before has reached the queues
    for (const party of this.parties()) party.end();
    await this.broker.restart();
    for (const { connection } of this.links) connection.destroy();
    this.observer.connection.destroy();
    this.unnoticed.length = 0;
    for (const queue of this.queues) queue.onRestart();
    this.observer = await Party.open('observer', await connect(this.broker.address), false);
    await this.declare(this.succeed(KINDS.indexOf('transient')));
    for (const [index, { isPublishing, parties }] of this.links.entries()) {
      this.links[index] = await this.open(isPublishing, parties.length);
    }
  }

  private async closeChannel(party: Party): Promise<void> {
    const link = this.links.find((one) => one.parties.includes(party))!;
    await party.close();
    party.check();
    link.parties[link.parties.indexOf(party)] = await this.openParty(link.connection, link.isPublishing);
  }

  private async closeConnection(index: number): Promise<void> {
    const { connection, parties, isPublishing } = this.links[index]!;
    for (const party of parties) party.beginClose();
    await connection.close();
    for (const party of parties) party.end();
    for (const party of parties) party.check();
    this.links[index] = await this.open(isPublishing, parties.length);
  }

  private async cut(index: number, asks: 'nothing' | 'get' | 'consume', queue: QueueLedger): Promise<void> {
    const { connection, parties, isPublishing, guard } = this.links[index]!;
    if (asks !== 'nothing') {
      parties[0]!.send(`basic.${asks}`, { queue: queue.name });
      queue.onConsumerEnded(false);
    }
    connection.destroy();
    for (const party of parties) party.end();
    this.unnoticed.push(guard);
    this.links[index] = await this.open(isPublishing, parties.length);
  }

  // What is checked.

  /** Stops everything that moves in the queue, then counts it, takes it out and compares with the ledger. */
  private async check(queue: QueueLedger): Promise<void> {
    for (const party of this.parties()) {
      for (const { consumerTag, queue: consumed } of [...party.subscriptions.values()]) {
        if (consumed === queue) await party.call('basic.cancel', { consumerTag });
      }
      for (const [tag, { copy }] of [...party.held]) if (copy.queue === queue) party.settle(tag, false, 'requeue');
    }
    await this.syncAll();
    for (const publisher of this.publishers()) await publisher.confirmed();
    await this.untilNoticed();
    const isExact = queue.inState('unsure', 'unconfirmed').length === 0;
    const count = await this.countReady(queue);
    const taken = await this.drain(queue, isExact ? count : null);
    queue.checkDrained(taken);
  }

  private async syncAll(): Promise<void> {
    for (const party of this.parties()) await party.sync();
  }

  /** The broker has seen the end of every connection that was cut, and given back what it held. */
  private async untilNoticed(): Promise<void> {
    if (this.unnoticed.length === 0) return;
    const connection = await connect(this.broker.address);
    const channel = await connection.openChannel();
    const giveUpAt = performance.now() + PATIENCE_MS;
    while (this.unnoticed.length > 0) {
      assert.ok(performance.now() < giveUpAt, 'the broker has not noticed the end of a connection');
      channel.send('queue.declare', { queue: this.unnoticed[0]!, passive: true });
      const close = await channel.expect('channel.close');
      channel.send('channel.close-ok');
      await channel.reopen();
      if (close.number('replyCode') === 404) this.unnoticed.shift();
    }
    connection.destroy();
  }

  private async counts(queue: QueueLedger): Promise<{ messages: number; consumers: number }> {
    const ok = await this.observer.call('queue.declare', { queue: queue.name, passive: true });
    return { messages: ok.number('messageCount'), consumers: ok.number('consumerCount') };
  }

  /** Ready messages of a queue that nobody consumes. */
  private async countReady(queue: QueueLedger): Promise<number> {
    const giveUpAt = performance.now() + PATIENCE_MS;
    for (;;) {
      const { messages: count, consumers } = await this.counts(queue);
      assert.equal(consumers, 0, `${queue.name}: consumers that nobody has`);
      // Dead letters are on their way for a moment; everything else is there.
      if (queue.kind !== 'letters' || count >= queue.readyMin || performance.now() > giveUpAt) return count;
      await nextTurn();
    }
  }

  /** @param expected how many there must be; null when that can't be known */
  private async drain(queue: QueueLedger, expected: number | null): Promise<Copy[]> {
    const taken: Copy[] = [];
    for (;;) {
      const message = await this.observer.get(queue, true);
      if (message === null) break;
      taken.push(queue.copies.get(message.body.split(' ')[0]!)!);
      if (expected === null) continue;
      assert.equal(message.number('messageCount'), expected - taken.length, `${queue.name}: messages left after a get`);
    }
    if (expected !== null)
      assert.equal(taken.length, expected, `${queue.name}: messages got, and as declare counts them`);
    return taken;
  }
}
