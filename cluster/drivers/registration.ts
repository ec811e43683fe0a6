/**
 * How a node comes in at each start: waits until there is a leader and it has
 * applied what that one had, founds the cluster where it leads an empty log, and
 * registers. It serves only when its registration is applied here (rule 17).
 *
 *   waiting -> [founding] -> registering -> done
 *
 * What could not be answered (no majority yet, a leader that went) is tried
 * again, for as long as it takes; only a refusal ends the start.
 */
import type { Command, CommandReply } from '../metadata/commands.ts';
import type { NodeDefinition } from '../metadata/definitions.ts';
import { CLUSTER_KEY } from '../metadata/keys.ts';
import type { MetadataState } from '../metadata/state.ts';
import type { MetadataUnavailable } from '../metadata-client.ts';
import type { ProposalSink } from './proposals.ts';

/** Of 50 ms. */
const RETRY_TICKS = 4;

/** What a new cluster begins with. */
export interface Founding {
  readonly clusterId: string;
  readonly name: string;
  readonly defaults: readonly Command[];
}

type Leader = 'none' | 'self' | 'other';

export class Registration {
  private readonly node: NodeDefinition;
  private readonly state: MetadataState;
  private readonly submit: (command: Command, sink: ProposalSink) => void;
  private founding: Founding | null = null;
  private done: ((error: Error | null) => void) | null = null;
  private leader: Leader = 'none';
  /** What the leader had applied when it was heard last; -1: not heard. */
  private leaderIndex = -1;
  private appliedIndex = 0;
  private isAsking = false;
  private retryTicks = 0;
  /** An attempt to register had no answer and may have been applied. */
  private mayBeRegistered = false;

  constructor(node: NodeDefinition, state: MetadataState, submit: (command: Command, sink: ProposalSink) => void) {
    this.node = node;
    this.state = state;
    this.submit = submit;
  }

  /** `done` is called once. @param founding what to found where this node leads an empty log */
  begin(founding: Founding | null, done: (error: Error | null) => void): void {
    this.founding = founding;
    this.done = done;
  }

  get isWaiting(): boolean {
    return this.done !== null;
  }

  /** @param isHeard whether what that leader had applied is known already, or of no interest */
  onLeader(leader: Leader, isHeard: boolean): void {
    this.leader = leader;
    if (leader === 'other' && isHeard) this.leaderIndex = 0;
    this.proceed();
  }

  onLeaderIndex(index: number, appliedIndex: number): void {
    if (this.done === null) return;
    this.leaderIndex = index;
    this.onApplied(appliedIndex);
  }

  onApplied(index: number): void {
    this.appliedIndex = index;
    this.proceed();
  }

  tick(): void {
    if (this.retryTicks > 0 && --this.retryTicks === 0) this.proceed();
  }

  end(error: Error): void {
    this.finish(error);
  }

  private proceed(): void {
    if (this.done === null || this.isAsking || this.retryTicks > 0) return;
    if (this.leader === 'none') return;
    if (this.leader === 'other' && (this.leaderIndex < 0 || this.appliedIndex < this.leaderIndex)) return;
    const { node, founding } = this;
    this.isAsking = true;
    const isEmpty = this.leader === 'self' && this.state.get('cluster', CLUSTER_KEY) === null;
    if (isEmpty && founding !== null) this.ask({ type: 'found-cluster', ...founding }, () => this.proceed());
    else this.ask({ type: 'register-node', node }, () => this.finish(null));
  }

  private ask(command: Command, then: () => void): void {
    this.submit(command, {
      resolve: (reply) => {
        this.isAsking = false;
        // What is refused may be a repetition of what had no answer.
        if (reply.type === 'ok' || reply.type === 'created' || this.isRegistered) then();
        else this.finish(new Error(`the metadata log refused '${command.type}': ${describeReply(reply)}`));
      },
      reject: (error) => this.onRejected(error),
    });
  }

  private onRejected(error: MetadataUnavailable): void {
    this.isAsking = false;
    if (error.mayTakeEffect) this.mayBeRegistered = true;
    if (this.isRegistered) this.finish(null);
    else this.retryTicks = RETRY_TICKS;
  }

  /** By this process; a copy of its directory that has the same incarnation has not asked. */
  private get isRegistered(): boolean {
    const row = this.state.get('nodes', this.node.nodeId);
    return this.mayBeRegistered && row?.incarnation === this.node.incarnation;
  }

  private finish(error: Error | null): void {
    const { done } = this;
    this.done = null;
    done?.(error);
  }
}

function describeReply(reply: CommandReply): string {
  switch (reply.type) {
    case 'refused':
      return reply.reason;
    case 'not-found':
      return `no ${reply.what}`;
    case 'batch-refused':
      return `command ${reply.at} of its batch: ${describeReply(reply.reply)}`;
    default:
      return reply.type;
  }
}
