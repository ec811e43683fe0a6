/**
 * End-of-turn work: what many messages made dirty during one turn of the event
 * loop is flushed once, when the turn ends.
 *
 * A turn ends in four stages, always in this order: queues hand out what is
 * ready, stores start their commit, confirms are written, sockets are flushed.
 * A stage may mark items of a later stage dirty; they are flushed in the same
 * turn. Items of its own or an earlier stage wait for the next one, so a turn
 * always ends.
 *
 * In production `schedule` is `setImmediate`; in the simulator it is the
 * world's event list.
 */
export const TurnStage = { queues: 0, stores: 1, confirms: 2, sockets: 3 } as const;
export type TurnStage = (typeof TurnStage)[keyof typeof TurnStage];

export interface Flushable {
  readonly turnStage: TurnStage;
  /** Owned by TurnQueue: true from `markDirty` to the flush. Starts false. */
  isDirty: boolean;
  /** May not throw: an exception here is a bug and ends the process. */
  flush(): void;
}

export class TurnQueue {
  private readonly schedule: (run: () => void) => void;
  private readonly dirty: Flushable[][] = [[], [], [], []];
  private spare: Flushable[] = [];
  private isScheduled = false;
  private isEnding = false;

  constructor(schedule: (run: () => void) => void) {
    this.schedule = schedule;
  }

  /** Cheap enough to call per message: no closure and no promise is made. */
  markDirty(item: Flushable): void {
    if (item.isDirty) return;
    item.isDirty = true;
    this.dirty[item.turnStage]!.push(item);
    if (!this.isScheduled && !this.isEnding) this.scheduleEnd();
  }

  private scheduleEnd(): void {
    this.isScheduled = true;
    this.schedule(this.endTurn);
  }

  private readonly endTurn = (): void => {
    this.isScheduled = false;
    this.isEnding = true;
    for (let stage = 0; stage < 4; stage++) this.flushStage(stage);
    this.isEnding = false;
    const isMore = this.dirty.some((items) => items.length > 0);
    if (isMore) this.scheduleEnd();
  };

  private flushStage(stage: number): void {
    const items = this.dirty[stage]!;
    if (items.length === 0) return;
    this.dirty[stage] = this.spare; // what a flush marks dirty in its own stage waits for the next turn
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!;
      item.isDirty = false;
      item.flush();
    }
    items.length = 0;
    this.spare = items;
  }
}
