/**
 * What an alarm of the node does to one connection: from its first publish on
 * it is not read and told `connection.blocked`; who does not publish works on.
 * Also tells when hardly any memory is left.
 *
 * Whose socket is not read is not seen to close either, and what it holds (half
 * a message, deliveries) may be what the alarm is about. So who is blocked gets
 * a heartbeat now and then, heartbeats agreed or not: writing to a client that is
 * gone fails.
 *
 * Source: behaviour 150.
 */
import type { Method } from '../../../proto/amqp091/methods.generated.ts';
import type { AlarmBoard, AlarmListener } from '../../broker/front-end.ts';
import type { TimerHandle, Timers } from '../timers.ts';
import type { ClientCapabilities } from './channel-host.ts';

/** Between two heartbeats to a blocked client: the second after its end fails. */
export const BLOCKED_PROBE_MS = 2000;

export interface AlarmHoldOwner {
  readonly capabilities: ClientCapabilities;
  readonly timers: Timers;
  sendHeartbeat(): void;
  sendMethod(method: Method): void;
  hold(reason: string, what: string): void;
  release(reason: string): void;
  /** `isMemoryCritical` has changed. */
  onMemory(): void;
}

export class AlarmHold implements AlarmListener {
  isBlocked = false;
  isMemoryCritical = false;
  private readonly owner: AlarmHoldOwner;
  private readonly board: AlarmBoard;
  private isAlarmed = false;
  private isBlockedSaid = false;
  private probe: TimerHandle | null = null;

  constructor(owner: AlarmHoldOwner, board: AlarmBoard) {
    this.owner = owner;
    this.board = board;
  }

  /** The connection is open. */
  start(): void {
    this.board.subscribe(this);
    this.isAlarmed = this.board.reason !== null;
    this.isMemoryCritical = this.board.isMemoryCritical;
  }

  stop(): void {
    this.board.unsubscribe(this);
    this.probe?.cancel();
  }

  onAlarm(reason: string | null): void {
    this.isAlarmed = reason !== null;
    if (reason === null && this.isBlocked) this.unblock();
    const { isMemoryCritical } = this.board;
    if (isMemoryCritical === this.isMemoryCritical) return;
    this.isMemoryCritical = isMemoryCritical;
    this.owner.onMemory();
  }

  /** Hot path: content comes in. */
  onPublishing(): void {
    if (this.isAlarmed && !this.isBlocked) this.block();
  }

  private block(): void {
    const reason = this.board.reason ?? '';
    this.isBlocked = true;
    this.owner.hold('alarm', reason);
    this.probe = this.owner.timers.after(BLOCKED_PROBE_MS, this.onProbe);
    if (!this.owner.capabilities.connectionBlocked) return;
    this.isBlockedSaid = true;
    this.owner.sendMethod({ name: 'connection.blocked', reason });
  }

  private readonly onProbe = (): void => {
    this.owner.sendHeartbeat();
    this.probe = this.owner.timers.after(BLOCKED_PROBE_MS, this.onProbe);
  };

  private unblock(): void {
    this.isBlocked = false;
    this.probe?.cancel();
    this.owner.release('alarm');
    if (this.isBlockedSaid) this.owner.sendMethod({ name: 'connection.unblocked' });
    this.isBlockedSaid = false;
  }
}
