/**
 * What the model knows and no node does: which message was confirmed, whose
 * settle was committed, what was given to which place. Throws at what must not
 * be.
 */
export class Violation extends Error {}

export class Truth {
  /** By id, which is its sequence. */
  readonly isPersistent = new Map<number, boolean>();
  readonly confirmed = new Set<number>();
  readonly settled = new Set<number>();
  /** `epoch:position` -> id. */
  private readonly places = new Map<string, number>();
  /** epoch -> `node:incarnation`. */
  private readonly leaders = new Map<number, string>();
  crashes = 0;
  /** Of replicas that were not in sync. */
  promotions = 0;
  /** Changes with every fact that states are checked against. */
  facts = 0;

  onAppended(epoch: number, position: number, id: number): void {
    const place = `${epoch}:${position}`;
    const known = this.places.get(place);
    if (known !== undefined) throw new Violation(`place ${place} given to ${known} and to ${id}`);
    this.places.set(place, id);
  }

  onLeader(epoch: number, nodeId: string, incarnation: number): void {
    const leader = `${nodeId}:${incarnation}`;
    const known = this.leaders.get(epoch);
    if (known !== undefined && known !== leader) throw new Violation(`epoch ${epoch} led by ${known} and ${leader}`);
    this.leaders.set(epoch, leader);
  }

  onConfirmed(id: number): void {
    this.confirmed.add(id);
    this.facts++;
  }

  onSettleTaken(meant: number, found: number): void {
    if (meant !== found) throw new Violation(`an ack of message ${meant} settles ${found}`);
  }

  onSettleCommitted(id: number): void {
    this.settled.add(id);
    this.facts++;
  }

  /** A promotion that may lose messages: what counts from now on is what the promoted one has. */
  forget(onDisk: ReadonlyMap<number, number>, live: ReadonlyMap<number, number>): void {
    this.facts++;
    this.promotions++;
    for (const id of [...this.confirmed]) if (!onDisk.has(id)) this.confirmed.delete(id);
    for (const id of [...this.settled]) {
      if (live.has(id) || onDisk.has(id)) this.settled.delete(id);
      if (!live.has(id)) this.confirmed.delete(id); // its settle is there, but not on disk yet
    }
  }

  isKept(id: number): boolean {
    return this.confirmed.has(id) && !this.settled.has(id) && this.isPersistent.get(id) === true;
  }
}
