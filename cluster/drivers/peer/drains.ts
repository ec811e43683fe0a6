/**
 * Who waits until a peer has taken what was queued for it: told once, at the
 * end of a turn and never from inside the call that asked.
 */
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';
import { PEER_QUEUE_LOW_BYTES } from '../../peer-network.ts';
import type { PeerLink } from '../peer-link.ts';

type Call = () => void;

export class Drains implements Flushable {
  readonly turnStage = TurnStage.queues;
  isDirty = false;
  private readonly turn: TurnQueue;
  private readonly callsByLink = new Map<PeerLink, Call[]>();

  constructor(turn: TurnQueue) {
    this.turn = turn;
  }

  add(link: PeerLink, call: Call): void {
    const calls = this.callsByLink.get(link);
    if (calls === undefined) this.callsByLink.set(link, [call]);
    else calls.push(call);
    this.onDrained(link);
  }

  /** Something of it was taken. */
  onDrained(link: PeerLink): void {
    if (isDrained(link) && this.callsByLink.has(link)) this.turn.markDirty(this);
  }

  forget(link: PeerLink): void {
    this.callsByLink.delete(link);
  }

  stop(): void {
    this.callsByLink.clear();
  }

  flush(): void {
    for (const [link, calls] of [...this.callsByLink]) {
      if (!isDrained(link)) continue;
      this.callsByLink.delete(link);
      for (const call of calls) call();
    }
  }
}

function isDrained(link: PeerLink): boolean {
  return link.queuedBytes < PEER_QUEUE_LOW_BYTES;
}
