/**
 * What an alarm of the node does to one connection: from its first publish on
 * it is not read and told `connection.blocked`; who does not publish works on.
 * Also tells when hardly any memory is left.
 *
 * Source: behaviour 150.
 */
import type { Method } from '../../../proto/amqp091/methods.generated.ts';
import type { AlarmBoard, AlarmListener } from '../../broker/front-end.ts';
import type { ClientCapabilities } from './channel-host.ts';

export interface AlarmHoldOwner {
  readonly capabilities: ClientCapabilities;
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
    if (!this.owner.capabilities.connectionBlocked) return;
    this.isBlockedSaid = true;
    this.owner.sendMethod({ name: 'connection.blocked', reason });
  }

  private unblock(): void {
    this.isBlocked = false;
    this.owner.release('alarm');
    if (this.isBlockedSaid) this.owner.sendMethod({ name: 'connection.unblocked' });
    this.isBlockedSaid = false;
  }
}
