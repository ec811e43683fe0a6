/**
 * The metadata log of the model: one record of one queue, changed by commands
 * that are applied at once and in order; nodes see each state later, one by one.
 *
 * The checks are those that cluster/metadata makes (rules 10 to 12, 14, 15, 17
 * to 19, 37), each of which a walk may leave out.
 */
import type { InSyncChange } from '../../../../cluster/replication/in-sync-set.ts';
import type { QueueRole } from '../../../../cluster/replication/role.ts';
import type { Rules } from './rules.ts';

export interface NodeRow {
  readonly incarnation: number;
  readonly isUp: boolean;
}

export interface Metadata {
  readonly index: number;
  /** Index at which the record or a node's row last changed. */
  readonly changedAt: number;
  readonly nodes: ReadonlyMap<string, NodeRow>;
  readonly epoch: number;
  readonly leader: string;
  readonly version: number;
  readonly replicas: readonly { readonly nodeId: string; readonly assignment: number }[];
  readonly inSync: readonly string[];
  readonly marked: readonly string[];
}

export type Command =
  | { readonly type: 'alter'; readonly from: string; readonly change: InSyncChange }
  | { readonly type: 'down'; readonly nodeId: string; readonly incarnation: number }
  | { readonly type: 'up'; readonly nodeId: string; readonly incarnation: number }
  | {
      readonly type: 'register';
      readonly nodeId: string;
      readonly incarnation: number;
      readonly replaces: string | null;
    }
  | { readonly type: 'drop'; readonly nodeId: string }
  | { readonly type: 'add'; readonly nodeId: string }
  | { readonly type: 'promote'; readonly nodeId: string; readonly epoch: number; readonly incarnation: number };

export interface RegisterOptions {
  readonly minInSync: number;
  readonly isAlways: boolean;
}

type Draft = { -readonly [K in keyof Metadata]: Metadata[K] };

export class Register {
  readonly states: Metadata[];
  private readonly rules: Rules;
  private readonly options: RegisterOptions;

  constructor(nodeIds: readonly string[], rules: Rules, options: RegisterOptions) {
    this.rules = rules;
    this.options = options;
    this.states = [
      {
        index: 0,
        changedAt: 0,
        nodes: new Map(nodeIds.map((nodeId) => [nodeId, { incarnation: 1, isUp: true }])),
        epoch: 1,
        leader: nodeIds[0]!,
        version: 1,
        replicas: nodeIds.map((nodeId) => ({ nodeId, assignment: 1 })),
        inSync: [...nodeIds],
        marked: [],
      },
    ];
  }

  get head(): Metadata {
    return this.states[this.states.length - 1]!;
  }

  /** @returns false when it was refused */
  apply(command: Command): boolean {
    const before = this.head;
    const draft: Draft = { ...before, index: before.index + 1, nodes: new Map(before.nodes) };
    const isAccepted = this.change(draft, command);
    if (!isAccepted) this.states.push({ ...before, index: before.index + 1 });
    else this.states.push({ ...draft, changedAt: draft.index });
    return isAccepted;
  }

  private change(draft: Draft, command: Command): boolean {
    switch (command.type) {
      case 'alter':
        return this.alter(draft, command.change);
      case 'down':
        return this.down(draft, command.nodeId, command.incarnation);
      case 'up': {
        const row = draft.nodes.get(command.nodeId);
        if (row === undefined || row.incarnation !== command.incarnation || row.isUp) return false;
        setNode(draft, command.nodeId, { ...row, isUp: true });
        if (draft.inSync.includes(command.nodeId) && draft.leader !== command.nodeId) this.electIfNone(draft);
        return true;
      }
      case 'register':
        return this.register(draft, command.nodeId, command.incarnation, command.replaces);
      case 'drop':
        return this.drop(draft, command.nodeId);
      case 'add': {
        if (draft.replicas.some((replica) => replica.nodeId === command.nodeId)) return false;
        if (draft.replicas.length >= 3 || !draft.nodes.has(command.nodeId)) return false;
        draft.version++;
        const assignment = this.rules.has('asg') ? draft.version : 1;
        draft.replicas = [...draft.replicas, { nodeId: command.nodeId, assignment }];
        return true;
      }
      case 'promote': {
        const row = draft.nodes.get(command.nodeId);
        if (draft.leader !== '' || draft.epoch !== command.epoch || row?.incarnation !== command.incarnation)
          return false;
        draft.inSync = [command.nodeId];
        draft.marked = [];
        this.install(draft, command.nodeId);
        return true;
      }
    }
  }

  private alter(draft: Draft, change: InSyncChange): boolean {
    const isCurrent = change.epoch === draft.epoch && change.baseVersion === draft.version;
    if (this.rules.has('cas') ? !isCurrent : change.epoch > draft.epoch) return false;
    if (draft.leader === '' || !change.inSync.includes(draft.leader)) return false;
    if (!change.inSync.every((nodeId) => draft.replicas.some((replica) => replica.nodeId === nodeId))) return false;
    for (const { nodeId, incarnation, assignment } of change.added) {
      if (this.rules.has('expandInc') && draft.nodes.get(nodeId)?.incarnation !== incarnation) return false;
      if (draft.replicas.find((replica) => replica.nodeId === nodeId)?.assignment !== assignment) return false;
    }
    const isShrink = draft.inSync.some((nodeId) => !change.inSync.includes(nodeId));
    if (isShrink && this.rules.has('floor') && change.inSync.length < this.options.minInSync) return false;
    draft.inSync = change.inSync;
    draft.marked = change.marked.filter((nodeId) => draft.marked.includes(nodeId));
    draft.version++;
    return true;
  }

  private down(draft: Draft, nodeId: string, incarnation: number): boolean {
    const row = draft.nodes.get(nodeId);
    if (row === undefined || row.incarnation !== incarnation || !row.isUp) return false;
    setNode(draft, nodeId, { ...row, isUp: false });
    if (draft.leader !== nodeId) return true;
    const next = this.elect(draft);
    if (next !== null) this.install(draft, next);
    else if (this.options.isAlways) this.install(draft, '');
    return true;
  }

  private register(draft: Draft, nodeId: string, incarnation: number, replaces: string | null): boolean {
    const known = draft.nodes.get(nodeId);
    if (known !== undefined && incarnation <= known.incarnation) return false;
    if (replaces !== null) this.replace(draft, replaces, nodeId);
    setNode(draft, nodeId, { incarnation, isUp: true });
    if (draft.inSync.includes(nodeId)) {
      if (this.rules.has('regMark')) {
        if (!draft.marked.includes(nodeId)) draft.marked = [...draft.marked, nodeId];
        draft.version++;
      } else if (draft.inSync.some((other) => other !== nodeId && draft.nodes.get(other)?.isUp === true)) {
        draft.inSync = draft.inSync.filter((other) => other !== nodeId);
        draft.version++;
      }
    }
    if (draft.leader === nodeId && this.rules.has('regEpoch')) this.installIfAny(draft);
    else this.electIfNone(draft);
    return true;
  }

  /** Rule 18: the old disk is gone. The new one takes its place in the list, as a new assignment. */
  private replace(draft: Draft, old: string, nodeId: string): void {
    const nodes = new Map(draft.nodes);
    nodes.delete(old);
    nodes.set(nodeId, { incarnation: 0, isUp: true });
    draft.nodes = nodes;
    const had = draft.replicas.some((replica) => replica.nodeId === old);
    draft.replicas = draft.replicas.filter((replica) => replica.nodeId !== old);
    draft.inSync = draft.inSync.filter((member) => member !== old);
    draft.marked = draft.marked.filter((member) => member !== old);
    draft.version++;
    if (had) draft.replicas = [...draft.replicas, { nodeId, assignment: draft.version }];
    if (draft.leader === old) this.installIfAny(draft);
  }

  private drop(draft: Draft, nodeId: string): boolean {
    if (draft.leader === nodeId || draft.leader === '') return false;
    if (!draft.replicas.some((replica) => replica.nodeId === nodeId)) return false;
    const inSync = draft.inSync.filter((member) => member !== nodeId);
    if (inSync.length < draft.inSync.length && inSync.length < this.options.minInSync) return false;
    draft.replicas = draft.replicas.filter((replica) => replica.nodeId !== nodeId);
    draft.inSync = inSync;
    draft.marked = draft.marked.filter((member) => member !== nodeId);
    draft.version++;
    return true;
  }

  private electIfNone(draft: Draft): void {
    if (draft.leader === '' ? this.elect(draft) === null : draft.nodes.get(draft.leader)?.isUp === true) return;
    this.installIfAny(draft);
  }

  private installIfAny(draft: Draft): void {
    const next = this.elect(draft);
    if (next !== null) this.install(draft, next);
  }

  private elect(draft: Draft): string | null {
    const isUp = (nodeId: string) => draft.nodes.get(nodeId)?.isUp === true;
    const members = this.rules.has('isrElect') ? draft.inSync : draft.replicas.map((replica) => replica.nodeId);
    const alive = draft.replicas.map((replica) => replica.nodeId).filter((id) => members.includes(id) && isUp(id));
    return alive.find((nodeId) => !draft.marked.includes(nodeId)) ?? alive[0] ?? null;
  }

  private install(draft: Draft, nodeId: string): void {
    draft.leader = nodeId;
    draft.epoch++;
    draft.version++;
    draft.marked = draft.marked.filter((member) => member !== nodeId);
    if (nodeId !== '' && !draft.inSync.includes(nodeId)) draft.inSync = [...draft.inSync, nodeId];
  }
}

function setNode(draft: Draft, nodeId: string, row: NodeRow): void {
  const nodes = new Map(draft.nodes);
  nodes.set(nodeId, row);
  draft.nodes = nodes;
}

export function roleOf(metadata: Metadata, { minInSync, isAlways }: RegisterOptions): QueueRole {
  const { epoch, leader, version, inSync, marked, changedAt, index } = metadata;
  const replicas = metadata.replicas.map(({ nodeId, assignment }) => {
    const incarnation = metadata.nodes.get(nodeId)?.incarnation ?? 0;
    return { nodeId, assignment, incarnation, isDisc: true };
  });
  const record = { epoch, leader, version, replicas, inSync, marked };
  return { ...record, minInSync, isUncleanAllowed: isAlways, changedAt, metadataIndex: index };
}
