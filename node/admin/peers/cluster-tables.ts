/**
 * The lists of a whole cluster: rows of this node, and of the others as they
 * give them. What a node leads or serves only that node knows; what is defined
 * every node knows, so a queue whose node is silent is listed as `down`.
 *
 *   queues, consumers       in the metadata's order, 256 queues at a time; of those each node is asked once
 *   connections, channels   this node's first, then node by node, a page at a time
 *   everything else         is in the metadata: see `table-operations.ts`
 *
 * A node that has not answered once (5 s) is not asked again for the same list,
 * and a note says so. Holds one window or page of rows at a time.
 */
import { type QueueDefinition, rowKey } from '../../../cluster/metadata/definitions.ts';
import type { MetadataView } from '../../../cluster/metadata-client.ts';
import type { Cell, QueueScope, Table, TableKind, TableOperations } from '../operations.ts';
import type { QueueFinder } from '../queue-operations.ts';
import type { LocalTables } from '../table-operations.ts';
import { type PeerReports, REPORT_TIMEOUT_MS, type Report } from './peer-reports.ts';

type Cells = readonly Cell[];

/** Queues whose nodes are asked together. */
const WINDOW = 256;

export class ClusterTables implements TableOperations {
  private readonly local: LocalTables;
  private readonly view: MetadataView;
  private readonly nodeId: string;
  private readonly queues: QueueFinder;
  private readonly peers: PeerReports;

  constructor(local: LocalTables, view: MetadataView, nodeId: string, queues: QueueFinder, peers: PeerReports) {
    this.local = local;
    this.view = view;
    this.nodeId = nodeId;
    this.queues = queues;
    this.peers = peers;
  }

  list(kind: TableKind, vhost: string, columns: readonly string[], scope: QueueScope): Table {
    switch (kind) {
      case 'queues':
      case 'consumers': {
        const names = this.local.columnsOf(kind, columns);
        const listing = new Listing(this.view, this.peers, kind, names);
        return { columns: names, rows: this.queueRows(listing, kind, vhost, scope), notes: listing.notes };
      }
      case 'connections':
      case 'channels': {
        const names = this.local.columnsOf(kind, columns);
        const listing = new Listing(this.view, this.peers, kind, names);
        return { columns: names, rows: this.connectionRows(listing, kind), notes: listing.notes };
      }
      default:
        return this.local.list(kind, vhost, columns, scope);
    }
  }

  private async *queueRows(
    listing: Listing,
    kind: 'queues' | 'consumers',
    vhost: string,
    scope: QueueScope,
  ): AsyncGenerator<Cells> {
    const isDownListed = kind === 'queues' && scope !== 'online';
    const all = [...this.view.queuesOf(vhost)].filter(({ leader }) => this.isInScope(leader, scope));
    for (let at = 0; at < all.length; at += WINDOW) {
      const window = all.slice(at, at + WINDOW);
      const answered = await listing.ofQueues(window.filter(({ leader }) => leader !== this.nodeId));
      for (const definition of window) {
        const { id, leader, name } = definition;
        if (leader === this.nodeId) {
          const queue = this.queues.find(vhost, name);
          if (queue !== null) yield* this.local.ofQueue(kind, queue, listing.columns);
        } else if (answered.has(id)) {
          yield* answered.get(id)!;
        } else if (isDownListed && (listing.isSilent(leader) || this.isStillThere(definition))) {
          // Its node did not answer, or has not heard of it yet. One that was deleted meanwhile is not listed.
          yield* this.local.ofDownQueue(definition, listing.columns, listing.nameOf(leader));
        }
      }
    }
  }

  private isStillThere({ vhost, name }: QueueDefinition): boolean {
    return this.view.get('queues', rowKey(vhost, name)) !== null;
  }

  private isInScope(leader: string, scope: QueueScope): boolean {
    if (scope === 'local') return leader === this.nodeId;
    return scope !== 'offline' || (leader !== this.nodeId && !this.peers.isLinked(leader));
  }

  private async *connectionRows(listing: Listing, kind: 'connections' | 'channels'): AsyncGenerator<Cells> {
    yield* this.local.list(kind, '', listing.columns, 'all').rows;
    for (const { nodeId, isUp } of [...this.view.rows('nodes')]) {
      if (nodeId !== this.nodeId && (isUp !== false || this.peers.isLinked(nodeId)))
        yield* listing.ofConnections(nodeId);
    }
  }
}

/** One list under way: who of the others has been silent, and what people are told at its end. */
class Listing {
  readonly notes: string[] = [];
  readonly columns: readonly string[];
  private readonly view: MetadataView;
  private readonly peers: PeerReports;
  private readonly about: string;
  private readonly silent = new Set<string>();

  constructor(view: MetadataView, peers: PeerReports, about: string, columns: readonly string[]) {
    this.view = view;
    this.peers = peers;
    this.about = about;
    this.columns = columns;
  }

  isSilent(nodeId: string): boolean {
    return this.silent.has(nodeId);
  }

  /** '' for a leadership that is vacant. */
  nameOf(nodeId: string): string {
    return this.view.get('nodes', nodeId)?.name ?? nodeId;
  }

  /** Rows by queue id, asked of all their nodes at once. Without those of nodes that are silent. */
  async ofQueues(definitions: readonly QueueDefinition[]): Promise<ReadonlyMap<number, readonly Cells[]>> {
    const byNode = new Map<string, number[]>();
    for (const { id, leader } of definitions) {
      const ids = byNode.get(leader);
      if (ids === undefined) byNode.set(leader, [id]);
      else ids.push(id);
    }
    const rows = new Map<number, Cells[]>();
    await Promise.all([...byNode].map(([nodeId, ids]) => this.askAbout(nodeId, ids, rows)));
    return rows;
  }

  private async askAbout(nodeId: string, ids: readonly number[], rows: Map<number, Cells[]>): Promise<void> {
    for (let at = 0; at < ids.length; ) {
      const rest = ids.slice(at);
      const answer = await this.ask(nodeId, { about: this.about, columns: this.columns, ids: rest });
      if (answer === null) return;
      const done = numberOf(answer['done']);
      const isAbout = this.about === 'queues';
      // A queue without consumers was answered too.
      if (!isAbout) for (const id of rest.slice(0, done)) rows.set(id, []);
      for (const [id, cells] of answer['rows'] as (readonly [number, Cells])[]) {
        const known = rows.get(id);
        if (known === undefined) rows.set(id, [cells]);
        else known.push(cells);
      }
      at += done;
      if (done < 1) return;
    }
  }

  async *ofConnections(nodeId: string): AsyncGenerator<Cells> {
    for (let after: unknown = -1; after !== null; ) {
      const answer = await this.ask(nodeId, { about: this.about, columns: this.columns, after });
      if (answer === null) return;
      yield* answer['rows'] as readonly Cells[];
      const next = answer['after'];
      after = typeof next === 'number' && next > Number(after) ? next : null;
    }
  }

  /** Null: no answer, and it is not asked again. */
  private async ask(nodeId: string, question: Report): Promise<Report | null> {
    if (this.silent.has(nodeId)) return null;
    const wasLinked = this.peers.isLinked(nodeId);
    const answer = await this.peers.ask(nodeId, question);
    if (answer === null || !Array.isArray(answer['rows'])) {
      this.silent.add(nodeId);
      this.noteSilence(nodeId, wasLinked);
      return null;
    }
    if (answer['isCut'] === true) this.notes.push(`${this.nameOf(nodeId)} has more ${this.about} than are listed`);
    return answer;
  }

  /** Of a node that the cluster holds for dead nobody is surprised. */
  private noteSilence(nodeId: string, wasLinked: boolean): void {
    const node = this.view.get('nodes', nodeId);
    if (node === null || (node.isUp === false && !wasLinked)) return;
    const why = wasLinked ? `did not answer within ${REPORT_TIMEOUT_MS / 1000} s` : 'is not connected to this node';
    const lack = this.about === 'queues' ? 'its queues are listed as down' : `its ${this.about} are not listed`;
    this.notes.push(`node ${node.name} ${why}: ${lack}`);
  }
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) ? value : 0;
}
