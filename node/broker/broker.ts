/**
 * The broker of one node, put together: topology, routing, sessions, dead
 * letters, deadlines, alarms, connections. Deterministic: clock, chance, disk
 * and the metadata log come in from outside, and so does the call of `advance`.
 *
 * Make it when the metadata holds this process's own incarnation (what belonged
 * to the former one is gone then), `load` it, then let front-ends in.
 */
import type { Change, QueueDefinition } from '../../cluster/metadata/definitions.ts';
import type { MetadataClient, MetadataListener } from '../../cluster/metadata-client.ts';
import type { Clock } from '../../proto/base/clock.ts';
import { invariant } from '../../proto/base/invariant.ts';
import type { TurnQueue } from '../../proto/base/turn-queue.ts';
import type { MessageStore } from '../../storage/message-store.ts';
import type { Access } from '../access/access.ts';
import { BrokerAlarmBoard } from './alarm-board.ts';
import { BrokerSession } from './broker-session.ts';
import { ChannelLimits } from './channel-limits.ts';
import { BrokerConnectionRegistry } from './connection-registry.ts';
import { DeadLetterPublisher } from './dead-letter/dead-letter.ts';
import { DeadlineHeap } from './deadlines.ts';
import { EndedConnections } from './ended-connections.ts';
import { exchangeTypes } from './exchange/registry.ts';
import { Router } from './exchange/router.ts';
import { Firehose } from './firehose.ts';
import type { BrokerForFrontEnds } from './front-end.ts';
import { Policies, type PolicySource } from './policies.ts';
import type { QueueContext, QueueMemoryLimits } from './queue/context.ts';
import type { EffectivePolicy, LiveQueue } from './queue/live-queue.ts';
import type { HolderId } from './queue/queue.ts';
import { MetadataQueueOwner } from './queue-owner.ts';
import { Refusal } from './refusal.ts';
import type { RemotePeers } from './remote/remote-peers.ts';
import { RemoteQueue } from './remote/remote-queue.ts';
import { ReplyDirectory } from './reply-to.ts';
import type { Identity, Session } from './session.ts';
import type { SessionContext } from './session-context.ts';
import { Topology } from './topology.ts';

export interface BrokerParts {
  readonly clock: Clock;
  readonly turn: TurnQueue;
  readonly store: MessageStore;
  readonly metadata: MetadataClient;
  readonly access: Access;
  readonly policies: PolicySource;
  /** `queue/registry` makes them; tests put others in their place. */
  readonly createQueue: (definition: QueueDefinition, policy: EffectivePolicy, context: QueueContext) => LiveQueue;
  readonly nodeId: string;
  /** name@host, shown to those who trace. */
  readonly nodeName: string;
  /** Of this process: grows at each start. */
  readonly incarnation: number;
  readonly limits: QueueMemoryLimits;
  /** The other nodes; null on a node that has none. */
  readonly remote: RemotePeers | null;
  /** Cryptographically strong. */
  readonly random: (bytes: number) => Buffer;
  /** Asks for `advance` at this moment, earlier than what it last answered. */
  readonly wake: (atMonotonicMs: number) => void;
  /** Something an operator wants to read; never per message. */
  readonly onNote: (text: string) => void;
}

/** Rows made live between two yields of `load`: some 10 ms. */
const ROWS_PER_SLICE = 2000;

export class Broker implements BrokerForFrontEnds, MetadataListener {
  readonly clock: Clock;
  readonly turn: TurnQueue;
  readonly alarms = new BrokerAlarmBoard();
  readonly connections = new BrokerConnectionRegistry();
  readonly topology: Topology;
  private readonly parts: BrokerParts;
  private readonly deadlines: DeadlineHeap;
  private readonly session: SessionContext;
  private lastHolder = 0;
  private lastConnection = 0;
  private lastPublisher = 0;

  constructor(parts: BrokerParts) {
    const { clock, turn, metadata, access, nodeId, incarnation, random } = parts;
    this.parts = parts;
    this.clock = clock;
    this.turn = turn;
    this.deadlines = new DeadlineHeap(parts.wake);
    const deadlines = this.deadlines;
    const router = new Router();
    const replies = new ReplyDirectory(random);
    this.topology = new Topology(metadata.view, {
      exchangeTypes,
      policies: new Policies(parts.policies, turn),
      replies,
      makeQueue: (definition, policy) => this.makeQueue(definition, policy, queueContext),
      seed: random(4).readUInt32BE(0),
    });
    const topology = this.topology;
    const queueContext: QueueContext = {
      clock,
      turn,
      store: parts.store,
      deadLetters: new DeadLetterPublisher({ clock, turn, deadlines }, topology, router, parts.onNote),
      owner: new MetadataQueueOwner(metadata, parts.onNote),
      deadlines,
      limits: parts.limits,
    };
    this.session = {
      clock,
      turn,
      deadlines,
      access,
      topology,
      router,
      firehose: new Firehose({ clock, turn, deadlines }, router, parts.nodeName),
      metadata,
      alarms: this.alarms,
      replies,
      nodeId,
      incarnation,
      random,
      channelLimits: new ChannelLimits(metadata.view),
      ended: new EndedConnections(clock, deadlines, metadata, nodeId),
      nextPublisherId: () => this.nextPublisherId(),
    };
    metadata.subscribe(this);
  }

  private bindRemote(remote: RemotePeers): void {
    const { clock, metadata } = this.parts;
    remote.bind({
      deadlines: this.deadlines,
      monotonicMs: () => clock.monotonicMs(),
      findQueue: (queueId) => this.topology.queuesById.get(queueId)?.queue ?? null,
      nextHolderId: () => this.nextHolderId(),
      nameOf: (nodeId) => metadata.view.get('nodes', nodeId)?.name ?? nodeId,
      isDown: (nodeId) => metadata.view.get('nodes', nodeId)?.isUp === false,
    });
  }

  /** A queue that this node leads, or the way to the node that does. */
  private makeQueue(definition: QueueDefinition, policy: EffectivePolicy, context: QueueContext): LiveQueue {
    const { remote } = this.parts;
    if (remote === null || definition.leader === this.parts.nodeId) {
      return this.parts.createQueue(definition, policy, context);
    }
    return new RemoteQueue(definition, policy, remote.leader(definition.leader));
  }

  /**
   * Makes live what the metadata holds, then has the store remove what belongs to no queue. Yields now and then: let
   * the event loop run between two steps. No session may be opened before it is done.
   */
  *load(): Generator<number> {
    yield* this.topology.load(ROWS_PER_SLICE);
    this.parts.store.removeUnknown(new Set(this.topology.queuesById.keys()));
    if (this.parts.remote !== null) this.bindRemote(this.parts.remote);
  }

  onChanges(changes: readonly Change[]): void {
    this.topology.onChanges(changes);
    for (const change of changes) {
      if (change.table === 'nodes' && (change.after === null || change.after.isUp === false)) {
        this.parts.remote?.onNodeDown(change.key);
      }
      if (change.after !== null) continue;
      if (change.table === 'queues' && change.before !== null) this.parts.remote?.onQueueDeleted(change.before.id);
      if (change.table === 'users') this.connections.closeOfUser(change.key, `user '${change.key}' is deleted`);
      if (change.table === 'vhosts') this.connections.closeOfVhost(change.key, `vhost '${change.key}' is down`);
    }
  }

  openSession(identity: Identity): Session {
    const { user, vhost: name } = identity;
    const vhost = this.topology.vhosts.get(name);
    if (vhost === undefined) throw new Refusal('not-found', `vhost ${name} not found`);
    const maxOfVhost = vhost.definition.maxConnections;
    if (maxOfVhost >= 0 && this.connections.countOfVhost(name) >= maxOfVhost) {
      const what = `access to vhost '${name}' refused for user '${user}': connection limit (${maxOfVhost}) is reached`;
      throw new Refusal('limit-reached', what);
    }
    const maxOfUser = this.parts.metadata.view.get('users', user)?.maxConnections ?? -1;
    if (maxOfUser >= 0 && this.connections.countOfUser(user) >= maxOfUser) {
      const what = `connection refused for user '${user}': user connection limit (${maxOfUser}) is reached`;
      throw new Refusal('limit-reached', what);
    }
    if (!this.parts.access.mayEnterVhost(user, name)) {
      throw new Refusal('access-refused', `access to vhost '${name}' refused for user '${user}'`);
    }
    return new BrokerSession(this.session, identity, vhost);
  }

  nextHolderId(): HolderId {
    return ++this.lastHolder;
  }

  nextConnectionId(): string {
    return `${this.parts.nodeId}.${this.parts.incarnation}.${++this.lastConnection}`;
  }

  /** Incarnation (16 bits, they come round) and a counter (32 bits): 48 bits are what a message's entry has room for. */
  private nextPublisherId(): number {
    invariant(this.lastPublisher < 0xffff_ffff, 'a process has fewer than 2^32 publishers');
    return (this.parts.incarnation & 0xffff) * 0x1_0000_0000 + ++this.lastPublisher;
  }

  /** Runs what is due. @returns the monotonic moment to call again at, Infinity for none. */
  advance(monotonicMs: number, wallMs: number): number {
    return this.deadlines.advance(monotonicMs, wallMs);
  }
}
