/**
 * One link to another node as the queues use it: writers for both directions,
 * and what they have written waiting its turn.
 *
 * Frames go out at the end of the turn, while the network takes them. Above its
 * high mark they wait here, in order, and `isOpen` is false: those who can stop
 * (publishers, consumers) are asked to, so what waits stays near that mark.
 * Bodies of large messages are cut only when their turn comes.
 */
import { PEER_QUEUE_HIGH_BYTES, PeerChannel, type PeerNetwork } from '../../../cluster/peer-network.ts';
import { RingQueue } from '../../../proto/base/ring-queue.ts';
import { type Flushable, type TurnQueue, TurnStage } from '../../../proto/base/turn-queue.ts';
import { FrameKind } from '../../../proto/peer/frame-kinds.ts';
import { QueueAnswerWriter, QueueRequestWriter } from '../../../proto/peer/queue-frame-writer.ts';
import type { BodyFrames, FrameSink } from '../../../proto/peer/queue-frames.ts';

export class PeerSession implements FrameSink, Flushable {
  readonly turnStage = TurnStage.confirms;
  isDirty = false;
  readonly nodeId: string;
  readonly link: number;
  private readonly network: PeerNetwork;
  private readonly turn: TurnQueue;
  private readonly onOpen: () => void;
  private readonly requestWriter: QueueRequestWriter;
  private readonly answerWriter: QueueAnswerWriter;
  private readonly waiting = new RingQueue<Buffer | BodyFrames>();
  private waitingBytes = 0;
  private isAwaitingDrain = false;
  private wasFull = false;
  private isEnded = false;

  /** @param onOpen there is room again after `isOpen` was found false */
  constructor(network: PeerNetwork, turn: TurnQueue, nodeId: string, link: number, onOpen: () => void) {
    this.network = network;
    this.turn = turn;
    this.nodeId = nodeId;
    this.link = link;
    this.onOpen = onOpen;
    this.requestWriter = new QueueRequestWriter(FrameKind.queueRequest, this);
    this.answerWriter = new QueueAnswerWriter(FrameKind.queueAnswer, this);
  }

  /** Write to it at once: it is sent at the end of this turn. */
  get requests(): QueueRequestWriter {
    this.turn.markDirty(this);
    return this.requestWriter;
  }

  /** Write to it at once: it is sent at the end of this turn. */
  get answers(): QueueAnswerWriter {
    this.turn.markDirty(this);
    return this.answerWriter;
  }

  /** False: hand over no more content until `onOpen`. */
  get isOpen(): boolean {
    const written = this.requestWriter.pendingBytes + this.answerWriter.pendingBytes;
    const isOpen = this.waitingBytes + written + this.network.queuedBytes(this.nodeId) < PEER_QUEUE_HIGH_BYTES;
    if (!isOpen) {
      this.wasFull = true;
      this.awaitDrain();
    }
    return isOpen;
  }

  /** The link is down: nothing more is sent. */
  end(): void {
    this.isEnded = true;
    this.waiting.clear();
    this.waitingBytes = 0;
  }

  flush(): void {
    if (this.isEnded) return;
    this.requestWriter.flush();
    this.answerWriter.flush();
    this.pump();
  }

  onFrame(frame: Buffer): void {
    this.waiting.push(frame);
    this.waitingBytes += frame.length;
  }

  onBody(body: BodyFrames): void {
    this.waiting.push(body);
    this.waitingBytes += body.bytes;
  }

  private pump(): void {
    while (!this.isEnded && this.network.queuedBytes(this.nodeId) < PEER_QUEUE_HIGH_BYTES) {
      const frame = this.nextFrame();
      if (frame === null) break;
      this.waitingBytes = Math.max(0, this.waitingBytes - frame.length);
      if (!this.network.send(this.nodeId, this.link, PeerChannel.bulk, frame)) return; // its end is being told
    }
    if (this.waiting.length > 0) this.awaitDrain();
  }

  private awaitDrain(): void {
    if (this.isAwaitingDrain || this.isEnded) return;
    this.isAwaitingDrain = true;
    this.network.whenDrained(this.nodeId, this.onDrained);
  }

  private nextFrame(): Buffer | null {
    for (;;) {
      const next = this.waiting.peek();
      if (next === null || Buffer.isBuffer(next)) {
        this.waiting.shift();
        return next;
      }
      const part = next.next();
      if (part !== null) return part;
      this.waiting.shift();
      if (this.waiting.length === 0) this.waitingBytes = 0;
    }
  }

  private readonly onDrained = (): void => {
    this.isAwaitingDrain = false;
    if (this.isEnded) return;
    this.pump();
    if (!this.wasFull || this.isAwaitingDrain) return; // what waited here has filled the network again
    this.wasFull = false;
    if (this.isOpen) this.onOpen();
  };
}
