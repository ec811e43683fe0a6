/**
 * The least that a replicated queue is: takes publishes, hands out what is
 * committed to one consumer, settles. What leader-log says a queue has to do.
 */
import type { LeaderLog } from '../../../../cluster/replication/leader-log.ts';
import type { SimReplicaLog } from '../../../../storage/sim-replica-store.ts';
import type { FromClient, ToClient } from './client.ts';
import type { Truth } from './truth.ts';

export const PUBLISHER = 7;
/** In the entry: id u32, then 1 when it was sent before. */
const ENTRY_BYTES = 5;

export interface QueueWorld {
  readonly truth: Truth;
  has(rule: string): boolean;
  reply(message: ToClient): void;
}

export class ModelQueue {
  readonly leader: LeaderLog;
  private readonly world: QueueWorld;
  private readonly log: SimReplicaLog;
  isSubscribed = false;
  private subscription = 0;
  /** What a client's node sends before it has opened with all that it holds and waits for is not taken (rule 22). */
  private isOpen = false;
  private readonly held = new Set<number>();
  private readonly handedOut = new Set<number>();
  private readonly settling = new Map<number, { readonly at: number; readonly id: number }>();
  private confirms: { readonly sequence: number; readonly position: number }[] = [];
  private answers: { readonly epoch: number; readonly position: number; readonly at: number }[] = [];

  constructor(leader: LeaderLog, world: QueueWorld) {
    this.leader = leader;
    this.world = world;
    this.log = leader.replica.log as SimReplicaLog;
    for (const position of this.log.now.messages.keys()) {
      const at = leader.replica.pendingSettleOf(position);
      if (at >= 0) this.settling.set(position, { at, id: this.idAt(position) });
    }
  }

  private idAt(position: number): number {
    return this.log.now.messages.get(position)?.entry.readUInt32BE(0) ?? -1;
  }

  private reply(message: ToClient): void {
    if (!this.leader.isStopped) this.world.reply(message);
  }

  onMessage(message: FromClient): void {
    if (message.type === 'subscribe') this.subscription = message.subscription;
    else if (!this.isOpen || message.subscription !== this.subscription) return;
    switch (message.type) {
      case 'subscribe':
        this.subscribe(message.held);
        return;
      case 'publish':
        this.publish(message.sequence, message.isPersistent, message.isResent);
        return;
      case 'settle':
        this.settle(message.epoch, message.position, message.id);
        return;
      case 'requeue':
        this.requeue(message.epoch, message.position);
        return;
    }
  }

  private subscribe(held: readonly { readonly epoch: number; readonly position: number }[]): void {
    this.isSubscribed = true;
    this.isOpen = true;
    this.held.clear();
    for (const { epoch, position } of held) {
      if (this.isOurs(epoch, position) && this.log.isLive(position)) this.held.add(position);
    }
    this.reply({ type: 'subscribed', subscription: this.subscription });
  }

  private isOurs(epoch: number, position: number): boolean {
    return !this.world.has('msgId') || this.leader.isCurrent(epoch, position);
  }

  onLinkDown(): void {
    this.isOpen = false;
    this.isSubscribed = false;
  }

  private publish(sequence: number, isPersistent: boolean, isResent: boolean): void {
    const { leader } = this;
    const known = this.world.has('dedup') ? leader.admit(PUBLISHER, sequence) : -1;
    if (known >= 0) {
      if ((known <= leader.watermark && leader.mayConfirm) || !this.world.has('dedupWait')) this.confirm(sequence);
      else this.confirms.push({ sequence, position: known });
      return;
    }
    const entry = Buffer.alloc(ENTRY_BYTES);
    entry.writeUInt32BE(sequence, 0);
    entry[4] = isResent ? 1 : 0;
    const position = leader.publish(isPersistent, PUBLISHER, sequence, entry);
    this.world.truth.onAppended(leader.epoch, position, sequence);
    this.confirms.push({ sequence, position });
  }

  private confirm(sequence: number): void {
    this.world.truth.onConfirmed(sequence);
    this.reply({ type: 'confirm', epoch: this.leader.epoch, sequence });
  }

  private settle(epoch: number, position: number, id: number): void {
    const { leader } = this;
    if (!this.isOurs(epoch, position) || !this.log.now.messages.has(position)) {
      this.reply({ type: 'settled', epoch, position });
      return;
    }
    this.world.truth.onSettleTaken(id, this.idAt(position));
    const pending = this.settling.get(position);
    const isPersistent = this.world.has('settlePersist') && this.log.now.messages.get(position)!.isPersistent;
    const at = pending?.at ?? leader.settle(isPersistent, [position, position]);
    this.settling.set(position, { at, id: this.idAt(position) });
    this.held.delete(position);
    this.answers.push({ epoch, position, at });
  }

  private requeue(epoch: number, position: number): void {
    const message = this.log.now.messages.get(position);
    if (!this.isOurs(epoch, position) || message === undefined || this.settling.has(position)) return;
    const count = this.log.counts(position).find((row) => row.position === position)?.count ?? 0;
    this.leader.requeue(message.isPersistent, [position, count + 1]);
    this.held.delete(position);
  }

  onCommitted(watermark: number): void {
    for (const [position, { at, id }] of this.settling) {
      if (at > watermark) continue;
      this.settling.delete(position);
      this.held.delete(position);
      if (id >= 0) this.world.truth.onSettleCommitted(id);
    }
    const confirms = this.confirms;
    this.confirms = confirms.filter((waiting) => waiting.position > watermark);
    for (const { sequence, position } of confirms) if (position <= watermark) this.confirm(sequence);
    const answers = this.answers;
    this.answers = answers.filter((waiting) => waiting.at > watermark);
    for (const { epoch, position, at } of answers) {
      if (at <= watermark) this.reply({ type: 'settled', epoch, position });
    }
  }

  /** Hands out one message. @returns false when there is none, or nobody to take it */
  deliver(): boolean {
    if (!this.isSubscribed || this.leader.isStopped) return false;
    const { watermark, startLast, replica } = this.leader;
    const positions = [...this.log.now.messages.keys()].sort((a, b) => a - b);
    const position = positions.find((at) => at <= watermark && !this.held.has(at) && !this.settling.has(at));
    if (position === undefined) return false;
    const wasSent = this.log.now.messages.get(position)!.entry[4] === 1;
    const isRedelivered = position <= startLast || this.handedOut.has(position) || wasSent;
    this.held.add(position);
    this.handedOut.add(position);
    const epoch = replica.history.epochAt(position);
    const { subscription } = this;
    this.reply({ type: 'deliver', subscription, epoch, position, id: this.idAt(position), isRedelivered });
    return true;
  }

  /** Nothing waits for an answer, nothing is left to hand out. */
  get isQuiet(): boolean {
    return this.confirms.length === 0 && this.answers.length === 0 && this.settling.size === 0;
  }
}
