/**
 * The other nodes as the queues of this one see them: for each a leader of
 * queues that our clients use, and a node whose clients use queues led here.
 *
 * Wires both to the links of the network: one reader per link and direction,
 * so that nothing of a former link is taken for the present one. It is there
 * before the first link, and so before the broker: until the broker is bound
 * every queue is somewhere else, and the others ask again.
 */
import type { FrameHandler, PeerIdentity, PeerListener, PeerNetwork } from '../../../cluster/peer-network.ts';
import type { TurnQueue } from '../../../proto/base/turn-queue.ts';
import type { Message } from '../../../proto/entry/message.ts';
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import { FrameKind } from '../../../proto/peer/frame-kinds.ts';
import { QueueAnswerReader, QueueRequestReader } from '../../../proto/peer/queue-frame-reader.ts';
import { type QueueAnswerHandler, QueueQuestion } from '../../../proto/peer/queue-frames.ts';
import type { CancelReason, HolderId, PublishOutcome } from '../queue/queue.ts';
import { PeerSession } from './peer-session.ts';
import { decodeReply } from './questions.ts';
import type { RemoteAsker, RemoteLeader, RemoteQueue } from './remote-queue.ts';
import { ServedPeer, type ServedPeerContext } from './served-peer.ts';

/** What the broker brings. */
export interface RemotePeersContext extends ServedPeerContext {
  /** name@host of a member; its id when it is not known. */
  nameOf(nodeId: string): string;
  /** Held for dead, as the metadata has it. */
  isDown(nodeId: string): boolean;
}

/** A node that leads queues. */
class RemotePeer implements RemoteLeader, QueueAnswerHandler {
  readonly nodeId: string;
  session: PeerSession | null = null;
  private readonly context: () => RemotePeersContext | null;
  private readonly queues = new Map<number, RemoteQueue>();
  private readonly holders = new Map<HolderId, RemoteQueue>();
  private readonly askers = new Map<number, RemoteAsker>();
  private lastRequest = 0;

  constructor(context: () => RemotePeersContext | null, nodeId: string) {
    this.context = context;
    this.nodeId = nodeId;
  }

  get name(): string {
    return this.context()?.nameOf(this.nodeId) ?? this.nodeId;
  }

  get isDown(): boolean {
    return this.session === null && this.context()?.isDown(this.nodeId) === true;
  }

  attach(session: PeerSession): void {
    this.session = session;
    for (const queue of this.queues.values()) queue.onLink(session);
    session.requests.question(0, 0, QueueQuestion.resumed, 0);
  }

  detach(): void {
    this.session = null;
    const askers = [...this.askers.values()];
    this.askers.clear();
    for (const asker of askers) asker.onAnswer({ type: 'moved' });
  }

  onDown(): void {
    for (const queue of [...this.queues.values()]) queue.onLeaderDown();
  }

  onOpen(): void {
    for (const queue of this.queues.values()) queue.letGo();
  }

  ask(asker: RemoteAsker): number {
    const request = ++this.lastRequest;
    this.askers.set(request, asker);
    return request;
  }

  addHolder(holder: HolderId, queue: RemoteQueue): void {
    this.holders.set(holder, queue);
  }

  removeHolder(holder: HolderId): void {
    this.holders.delete(holder);
  }

  addQueue(queue: RemoteQueue): void {
    this.queues.set(queue.id, queue);
  }

  removeQueue(queue: RemoteQueue): void {
    this.queues.delete(queue.id);
  }

  // Answers

  onDelivery(holder: HolderId, item: QueuedMessage, message: Message): void {
    this.holders.get(holder)?.onDelivery(holder, item, message);
  }

  onPublished(queueId: number, outcome: number, firstSequence: number, count: number): void {
    // A number of a node of our cluster; what it says beyond the known ones is treated as rejected by the feeder.
    this.queues.get(queueId)?.onPublished(outcome as PublishOutcome, firstSequence, count);
  }

  onReply(request: number, body: string, got: QueuedMessage | null): void {
    const asker = this.askers.get(request);
    this.askers.delete(request);
    asker?.onAnswer(decodeReply(body, got));
  }

  onFlow(queueId: number, isOpen: boolean): void {
    this.queues.get(queueId)?.onLeaderFlow(isOpen);
  }

  onCancelled(holder: HolderId, reason: string): void {
    this.holders.get(holder)?.onConsumerCancelled(holder, cancelReasonOf(reason));
  }

  onAckTimeout(holder: HolderId, timeoutMs: number): void {
    this.holders.get(holder)?.onAckTimeout(holder, timeoutMs);
  }

  onSettled(queueId: number, through: number): void {
    this.queues.get(queueId)?.onSettled(through);
  }
}

interface Link {
  readonly session: PeerSession;
  readonly requests: QueueRequestReader;
  readonly answers: QueueAnswerReader;
}

export class RemotePeers implements PeerListener {
  private readonly network: PeerNetwork;
  private readonly turn: TurnQueue;
  private context: RemotePeersContext | null = null;
  private readonly boundContext = (): RemotePeersContext | null => this.context;
  private readonly leaders = new Map<string, RemotePeer>();
  private readonly served = new Map<string, ServedPeer>();
  private readonly links = new Map<number, Link>();

  /** Subscribes to the network: make it before the first link. */
  constructor(network: PeerNetwork, turn: TurnQueue) {
    this.network = network;
    this.turn = turn;
    network.subscribe(this);
    const handler = (read: (link: Link, frame: Buffer) => void): FrameHandler => ({
      onFrame: (_nodeId, number, frame) => {
        const link = this.links.get(number);
        // Copied once: messages point into it.
        if (link !== undefined) read(link, Buffer.from(frame));
      },
    });
    network.handle(
      FrameKind.queueRequest,
      handler((link, frame) => link.requests.read(frame)),
    );
    network.handle(
      FrameKind.queueAnswer,
      handler((link, frame) => link.answers.read(frame)),
    );
  }

  /** The broker serves from now on. */
  bind(context: RemotePeersContext): void {
    this.context = context;
  }

  leader(nodeId: string): RemoteLeader {
    return this.peer(nodeId);
  }

  onLinkUp(peer: PeerIdentity, number: number): void {
    const { network, turn } = this;
    const leader = this.peer(peer.nodeId);
    const served = this.servedPeer(peer);
    const session = new PeerSession(network, turn, peer.nodeId, number, () => {
      leader.onOpen();
      served.updateFlow();
    });
    this.links.set(number, {
      session,
      requests: new QueueRequestReader(served),
      answers: new QueueAnswerReader(leader),
    });
    served.attach(session);
    leader.attach(session);
  }

  onLinkDown(nodeId: string, number: number): void {
    const link = this.links.get(number);
    if (link === undefined) return;
    this.links.delete(number);
    link.session.end();
    this.leaders.get(nodeId)?.detach();
    this.served.get(nodeId)?.detach();
  }

  /** The cluster holds it for dead. */
  onNodeDown(nodeId: string): void {
    this.served.get(nodeId)?.end();
    this.served.delete(nodeId);
    const leader = this.leaders.get(nodeId);
    if (leader?.isDown === true) leader.onDown();
  }

  onQueueDeleted(queueId: number): void {
    for (const served of this.served.values()) served.forgetQueue(queueId);
  }

  private peer(nodeId: string): RemotePeer {
    let peer = this.leaders.get(nodeId);
    if (peer === undefined) {
      peer = new RemotePeer(this.boundContext, nodeId);
      this.leaders.set(nodeId, peer);
    }
    return peer;
  }

  private servedPeer({ nodeId, incarnation }: PeerIdentity): ServedPeer {
    const known = this.served.get(nodeId);
    if (known !== undefined && known.incarnation === incarnation) return known;
    known?.end();
    const served = new ServedPeer(this.boundContext, incarnation);
    this.served.set(nodeId, served);
    return served;
  }
}

function cancelReasonOf(text: string): CancelReason {
  return text === 'queue-deleted' || text === 'failover' ? text : 'unavailable';
}
