/**
 * A broker on the real metadata state machine, with fake queues, a clock that
 * the test sets and turns that the test ends.
 */
import { apply } from '../../../cluster/metadata/apply.ts';
import type { Command, CommandReply } from '../../../cluster/metadata/commands.ts';
import type { QueueDefinition, VhostDefinition } from '../../../cluster/metadata/definitions.ts';
import { MetadataState } from '../../../cluster/metadata/state.ts';
import { type MetadataClient, type MetadataListener, MetadataUnavailable } from '../../../cluster/metadata-client.ts';
import type { PeerNetwork } from '../../../cluster/peer-network.ts';
import type { Access, PermissionKind } from '../../../node/access/access.ts';
import { Broker } from '../../../node/broker/broker.ts';
import type { PolicySource } from '../../../node/broker/policies.ts';
import type { QueueContext } from '../../../node/broker/queue/context.ts';
import type { EffectivePolicy } from '../../../node/broker/queue/live-queue.ts';
import { createQueue } from '../../../node/broker/queue/registry.ts';
import { RemotePeers } from '../../../node/broker/remote/remote-peers.ts';
import type { DeclareExchange, DeclareQueue, Identity, PublisherSink, Session } from '../../../node/broker/session.ts';
import type { Clock } from '../../../proto/base/clock.ts';
import { TurnQueue } from '../../../proto/base/turn-queue.ts';
import { MemoryMessageStore } from '../../../storage/memory-message-store.ts';
import type { MessageStore } from '../../../storage/message-store.ts';
import { FakeQueue } from './fake-queue.ts';

export class FakeClock implements Clock {
  nowMs = 1000;
  wallNowMs = 1_700_000_000_000;

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.wallNowMs;
  }
}

export class FakeMetadata implements MetadataClient {
  readonly view = new MetadataState();
  readonly proposed: Command[] = [];
  appliedIndex = 0;
  /** Not null: the log takes nothing, for this reason. */
  unavailable: string | null = null;
  /** Not null: commands go there, to a log shared with other nodes. */
  shared: ((command: Command) => CommandReply) | null = null;
  /** Runs before the next command is applied: another client that is faster. */
  beforeApply: (() => void) | null = null;
  private readonly listeners: MetadataListener[] = [];

  async propose(command: Command): Promise<CommandReply> {
    this.proposed.push(command);
    if (this.unavailable !== null) throw new MetadataUnavailable(this.unavailable);
    const before = this.beforeApply;
    this.beforeApply = null;
    before?.();
    return this.shared === null ? this.apply(command) : this.shared(command);
  }

  apply(command: Command): CommandReply {
    const { reply, changes } = apply(this.view, command, ++this.appliedIndex);
    for (const listener of this.listeners) listener.onChanges(changes, this.appliedIndex);
    return reply;
  }

  subscribe(listener: MetadataListener): void {
    this.listeners.push(listener);
  }
}

/** Allows everything that is not listed as `kind name`, `topic kind key` or `enter vhost`. */
export class FakeAccess implements Access {
  readonly denied = new Set<string>();

  async authenticate(user: string) {
    return { type: 'accepted', user, tags: [] } as const;
  }

  userExists(): boolean {
    return true;
  }

  mayEnterVhost(_user: string, vhost: string): boolean {
    return !this.denied.has(`enter ${vhost}`);
  }

  isAllowed(_user: string, _vhost: string, kind: PermissionKind, name: string): boolean {
    return !this.denied.has(`${kind} ${name}`);
  }

  isTopicAllowed(_user: string, _vhost: string, _exchange: string, kind: 'write' | 'read', key: string): boolean {
    return !this.denied.has(`topic ${kind} ${key}`);
  }
}

export class FakePolicies implements PolicySource {
  readonly byName = new Map<string, EffectivePolicy>();

  ofQueue({ name }: { readonly name: string }): EffectivePolicy {
    return this.byName.get(name) ?? null;
  }

  ofExchange({ name }: { readonly name: string }): EffectivePolicy {
    return this.byName.get(name) ?? null;
  }
}

export class RecordingSink implements PublisherSink {
  readonly done: [token: number, isAccepted: boolean][] = [];
  readonly flow: boolean[] = [];

  onPublishDone(token: number, isAccepted: boolean): void {
    this.done.push([token, isAccepted]);
  }

  onPublisherFlow(isOpen: boolean): void {
    this.flow.push(isOpen);
  }
}

export interface WorldOptions {
  /** Applied before the broker is made. */
  readonly before?: readonly Command[];
  /** The queues of the broker, on a store in memory, in place of fake ones. */
  readonly hasRealQueues?: boolean;
  /** Default node1. */
  readonly nodeId?: string;
  /** To other brokers; none by default. */
  readonly network?: PeerNetwork;
}

export class World {
  readonly clock = new FakeClock();
  readonly metadata = new FakeMetadata();
  readonly access = new FakeAccess();
  readonly policies = new FakePolicies();
  readonly wakes: number[] = [];
  /** What an operator would read. */
  readonly notes: string[] = [];
  readonly broker: Broker;
  /** What the broker gives each queue. */
  context: QueueContext | null = null;
  knownToStore: ReadonlySet<number> | null = null;
  private readonly scheduled: (() => void)[] = [];
  private randomCalls = 0;

  constructor(options: WorldOptions = {}) {
    const turn = new TurnQueue((run) => this.scheduled.push(run));
    this.metadata.apply({ type: 'put-vhost', vhost: vhost('/') });
    for (const command of options.before ?? []) this.metadata.apply(command);
    this.broker = new Broker({
      clock: this.clock,
      turn,
      store: options.hasRealQueues === true ? new MemoryMessageStore(turn) : this.store(),
      metadata: this.metadata,
      access: this.access,
      policies: this.policies,
      createQueue: (definition, policy, context) => {
        this.context = context;
        return options.hasRealQueues === true
          ? createQueue(definition, policy, context)
          : new FakeQueue(definition, policy);
      },
      nodeId: options.nodeId ?? 'node1',
      nodeName: 'rabbit@test',
      incarnation: 3,
      remote: options.network === undefined ? null : new RemotePeers(options.network, turn),
      limits: { windowBytesMax: 1_000_000, unwrittenBytesMax: 1_000_000 },
      random: (bytes) => Buffer.alloc(bytes, ++this.randomCalls),
      wake: (atMs) => this.wakes.push(atMs),
      onNote: (text) => this.notes.push(text),
    });
    for (const _ of this.broker.load());
  }

  session(options: Partial<Identity> = {}): Session {
    return this.broker.openSession(this.identity(options));
  }

  identity(options: Partial<Identity> = {}): Identity {
    const connectionId = this.broker.nextConnectionId();
    return { user: 'guest', tags: [], vhost: '/', connectionId, connectionName: 'a -> b', ...options };
  }

  queue(name: string, vhostName = '/'): FakeQueue {
    const queue = this.broker.topology.vhosts.get(vhostName)?.queues.get(name)?.queue;
    if (!(queue instanceof FakeQueue)) throw new Error(`no queue '${name}' in vhost '${vhostName}'`);
    return queue;
  }

  /** Ends the turn, and those that it calls for, up to a number. */
  endTurns(max = 100): number {
    let turns = 0;
    for (let run = this.scheduled.shift(); run !== undefined && turns < max; run = this.scheduled.shift()) {
      run();
      turns++;
    }
    return turns;
  }

  private store(): MessageStore {
    return {
      unwrittenBytes: 0,
      open: () => {
        throw new Error('fake queues keep no log');
      },
      removeUnknown: (known) => {
        this.knownToStore = known;
      },
      close: async () => {},
    };
  }
}

export function vhost(name: string, options: Partial<VhostDefinition> = {}): VhostDefinition {
  return {
    name,
    description: '',
    tags: [],
    defaultQueueType: null,
    isTracing: false,
    maxConnections: -1,
    maxQueues: -1,
    ...options,
  };
}

export function exchangeRequest(name: string, options: Partial<DeclareExchange> = {}): DeclareExchange {
  return {
    name,
    type: 'direct',
    isPassive: false,
    isDurable: false,
    isAutoDelete: false,
    isInternal: false,
    arguments: [],
    ...options,
  };
}

export function queueRequest(name: string, options: Partial<DeclareQueue> = {}): DeclareQueue {
  return {
    name,
    isPassive: false,
    isDurable: false,
    isExclusive: false,
    isAutoDelete: false,
    arguments: [],
    ...options,
  };
}

export function queueDefinition(name: string, options: Partial<QueueDefinition> = {}): QueueDefinition {
  return {
    id: 0,
    vhost: '/',
    name,
    type: 'classic',
    isDurable: true,
    isExclusive: false,
    isAutoDelete: false,
    arguments: [],
    user: 'guest',
    owner: null,
    leader: 'node1',
    epoch: 0,
    replication: null,
    ...options,
  };
}
