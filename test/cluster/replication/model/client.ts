/**
 * A client's node: publishes with sequence and sends again what is not
 * confirmed, holds deliveries, settles and sends that again too, subscribes
 * anew where the leader is (rules 20 to 22, 33 to 36). It does not crash.
 */
import type { Metadata } from './register.ts';
import { type Truth, Violation } from './truth.ts';

/** `subscription` is a number used once: what is of an earlier one is dropped at either end (rules 34 and 35). */
export type FromClient = { readonly subscription: number; readonly leaderEpoch: number } & (
  | { readonly type: 'subscribe'; readonly held: readonly { readonly epoch: number; readonly position: number }[] }
  | {
      readonly type: 'publish';
      readonly sequence: number;
      readonly isPersistent: boolean;
      readonly isResent: boolean;
    }
  | { readonly type: 'settle'; readonly epoch: number; readonly position: number; readonly id: number }
  | { readonly type: 'requeue'; readonly epoch: number; readonly position: number }
);

export type ToClient =
  | { readonly type: 'subscribed'; readonly subscription: number }
  | { readonly type: 'moved'; readonly subscription: number }
  | { readonly type: 'confirm'; readonly epoch: number; readonly sequence: number }
  | { readonly type: 'settled'; readonly epoch: number; readonly position: number }
  | {
      readonly type: 'deliver';
      readonly subscription: number;
      readonly epoch: number;
      readonly position: number;
      readonly id: number;
      readonly isRedelivered: boolean;
    };

interface Held {
  readonly epoch: number;
  readonly position: number;
  readonly id: number;
}

export interface ClientWorld {
  readonly truth: Truth;
  has(rule: string): boolean;
  send(nodeId: string, message: FromClient): void;
  isLinked(nodeId: string): boolean;
}

export class ModelClient {
  private readonly world: ClientWorld;
  view: Metadata;
  /** Where it is subscribed, or on its way. */
  private at: { readonly nodeId: string; readonly leaderEpoch: number; readonly subscription: number } | null = null;
  private subscriptions = 0;
  private unconfirmed: { readonly sequence: number; readonly isPersistent: boolean; wasSent: boolean }[] = [];
  private published = 0;
  readonly held = new Map<string, Held>();
  readonly unanswered = new Map<string, Held>();
  private readonly seen = new Set<number>();
  private readonly acked = new Set<number>();

  constructor(world: ClientWorld, view: Metadata) {
    this.world = world;
    this.view = view;
  }

  get isDone(): boolean {
    return this.unconfirmed.length === 0 && this.unanswered.size === 0;
  }

  get publishedCount(): number {
    return this.published;
  }

  waiting(): string {
    return `unconfirmed ${this.unconfirmed.map((publish) => publish.sequence)}, settles ${[...this.unanswered.keys()]}`;
  }

  publish(isPersistent: boolean): void {
    const publish = { sequence: ++this.published, isPersistent, wasSent: false };
    this.world.truth.isPersistent.set(publish.sequence, isPersistent);
    this.unconfirmed.push(publish);
    this.sendPublish(publish);
  }

  private sendPublish(publish: { readonly sequence: number; readonly isPersistent: boolean; wasSent: boolean }): void {
    if (this.at === null) return;
    const { sequence, isPersistent, wasSent } = publish;
    publish.wasSent = true;
    this.send({ ...this.at, type: 'publish', sequence, isPersistent, isResent: wasSent });
  }

  private send(message: FromClient): void {
    if (this.at !== null) this.world.send(this.at.nodeId, message);
  }

  settle(key: string): void {
    const held = this.held.get(key)!;
    this.held.delete(key);
    this.acked.add(held.id);
    if (this.world.has('settleResend')) this.unanswered.set(key, held);
    this.sendSettle(held);
  }

  private sendSettle({ epoch, position, id }: Held): void {
    if (this.at !== null) this.send({ ...this.at, type: 'settle', epoch, position, id });
  }

  requeue(key: string): void {
    const { epoch, position } = this.held.get(key)!;
    this.held.delete(key);
    if (this.at !== null) this.send({ ...this.at, type: 'requeue', epoch, position });
  }

  /** Subscribes where its view says the leader is. @returns false when there is nothing to do or no link */
  connect(): boolean {
    const { leader, epoch } = this.view;
    if (this.at !== null && this.at.leaderEpoch === epoch) return false;
    if (leader === '' || !this.world.isLinked(leader)) return false;
    this.at = { nodeId: leader, leaderEpoch: epoch, subscription: ++this.subscriptions };
    const held = [...this.held.values(), ...this.unanswered.values()];
    this.send({ ...this.at, type: 'subscribe', held });
    for (const settle of this.unanswered.values()) this.sendSettle(settle);
    if (!this.world.has('resend')) return true;
    for (const publish of this.unconfirmed) this.sendPublish(publish);
    return true;
  }

  onLinkDown(nodeId: string): void {
    if (this.at?.nodeId === nodeId) this.at = null;
  }

  onMessage(message: ToClient): void {
    switch (message.type) {
      case 'subscribed':
        return;
      case 'moved':
        if (this.at?.subscription === message.subscription) this.at = null;
        return;
      case 'confirm':
        this.unconfirmed = this.unconfirmed.filter((publish) => publish.sequence !== message.sequence);
        return;
      case 'settled':
        this.unanswered.delete(`${message.epoch}:${message.position}`);
        return;
      case 'deliver':
        this.onDelivery(message);
    }
  }

  private onDelivery(message: Extract<ToClient, { type: 'deliver' }>): void {
    const { subscription, epoch, position, id, isRedelivered } = message;
    if (this.world.has('dlvEpoch') && this.at?.subscription !== subscription) return;
    this.check(id, isRedelivered);
    this.seen.add(id);
    this.held.set(`${epoch}:${position}`, { epoch, position, id });
  }

  private check(id: number, isRedelivered: boolean): void {
    const { truth } = this.world;
    if (!truth.isPersistent.has(id)) throw new Violation(`message ${id} was never published`);
    if (truth.isPersistent.get(id) === false && truth.crashes > 0) return; // lost, and sent again
    if (truth.promotions > 0 && isRedelivered) return; // settles and identities may be lost with the old leader
    if (this.acked.has(id)) throw new Violation(`message ${id} comes to who has acked it`);
    for (const held of this.held.values()) {
      if (held.id === id) throw new Violation(`message ${id} comes to who holds it`);
    }
    if (this.seen.has(id) && !isRedelivered) throw new Violation(`message ${id} comes again as if it were new`);
  }
}
