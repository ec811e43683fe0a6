/**
 * Lists of a cluster as one node puts them together: the other node is asked
 * about many queues at once, in the metadata's order, and a list goes on
 * without a node that does not answer. Two nodes with a network in memory.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { NodeDefinition, QueueDefinition } from '../../cluster/metadata/definitions.ts';
import type { MetadataView } from '../../cluster/metadata-client.ts';
import type { FrameHandler, PeerListener, PeerNetwork } from '../../cluster/peer-network.ts';
import type { Cell, QueueScope } from '../../node/admin/operations.ts';
import { ClusterTables } from '../../node/admin/peers/cluster-tables.ts';
import { PeerReports, REPORT_TIMEOUT_MS, type Report } from '../../node/admin/peers/peer-reports.ts';
import type { LocalTables } from '../../node/admin/table-operations.ts';

const OWN = 'own';
const OTHER = 'other';

/** Delivers at once, unless `isMute`. */
class PairedNetwork implements PeerNetwork {
  other: PairedNetwork | null = null;
  link = 1;
  isMute = false;
  readonly listeners: PeerListener[] = [];
  private readonly handlers = new Map<number, FrameHandler>();
  private readonly nodeId: string;

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }

  subscribe(listener: PeerListener): void {
    this.listeners.push(listener);
  }

  handle(kind: number, handler: FrameHandler): void {
    this.handlers.set(kind, handler);
  }

  send(_nodeId: string, _link: number, _channel: number, frame: Uint8Array): boolean {
    const { other } = this;
    if (!this.isMute && other !== null) other.handlers.get(frame[0]!)!.onFrame(this.nodeId, other.link, frame);
    return true;
  }

  linkOf(nodeId: string): number {
    return nodeId === this.other?.nodeId ? this.link : 0;
  }

  queuedBytes(): number {
    return 0;
  }

  whenDrained(): void {}
}

class TwoNodes {
  readonly network = new PairedNetwork(OWN);
  readonly questions: Report[] = [];
  readonly tables: ClusterTables;
  private readonly otherNetwork = new PairedNetwork(OTHER);

  /** @param answer the other node's, as JSON */
  constructor(queues: readonly QueueDefinition[], answer: (question: Report) => string | null) {
    this.network.other = this.otherNetwork;
    this.otherNetwork.other = this.network;
    const reports = new PeerReports(this.network);
    new PeerReports(this.otherNetwork).serve((question) => {
      this.questions.push(question);
      return answer(question);
    });
    const nodes = [OWN, OTHER].map((nodeId) => ({ nodeId, name: `rabbit@${nodeId}` }) as NodeDefinition);
    const view = {
      queuesOf: () => queues,
      rows: () => nodes.values(),
      get: (table: string, key: string) =>
        table === 'nodes' ? (nodes.find(({ nodeId }) => nodeId === key) ?? null) : (queues[0] ?? null),
    } as unknown as MetadataView; // what the lists ask of it
    const local: LocalTables = {
      list: () => ({ columns: [], rows: [['own connection']], notes: [] }),
      columnsOf: (_kind, columns) => columns,
      ofQueue: (_kind, queue) => [[`own ${queue.definition.name}`]],
      ofConnection: () => [],
      ofDownQueue: ({ name }, _columns, nodeName) => [[`down ${name} ${nodeName}`]],
    };
    const find = (_vhost: string, name: string) => ({ definition: { name } }) as never; // only its name is read
    this.tables = new ClusterTables(local, view, OWN, { find }, reports);
  }

  async list(kind: 'queues' | 'connections', scope: QueueScope = 'all'): Promise<{ rows: Cell[]; notes: string[] }> {
    const table = this.tables.list(kind, '/', ['name'], scope);
    const rows: Cell[] = [];
    for await (const [cell] of table.rows) rows.push(cell!);
    return { rows, notes: [...table.notes] };
  }
}

function queue(id: number, leader: string): QueueDefinition {
  return { id, name: `q${id}`, vhost: '/', leader } as QueueDefinition; // what the lists read of it
}

/** The rows of at most `max` queues, as a node gives them that closes its answer there. */
function rowsOf(question: Report, max: number): string {
  const ids = (question['ids'] as number[]).slice(0, max);
  return JSON.stringify({ done: ids.length, rows: ids.map((id) => [id, [`other ${id}`]]), isCut: false });
}

test('a thousand queues of another node are four questions, and keep their order among the own ones', async () => {
  const queues = Array.from({ length: 1024 }, (_, id) => queue(id, id % 10 === 0 ? OWN : OTHER));
  const nodes = new TwoNodes(queues, (question) => rowsOf(question, 1000));
  const { rows, notes } = await nodes.list('queues');
  assert.deepEqual(
    rows,
    queues.map(({ id }) => (id % 10 === 0 ? `own q${id}` : `other ${id}`)),
  );
  assert.deepEqual(notes, []);
  assert.equal(nodes.questions.length, 4);
});

test('an answer that stops early is asked for its rest', async () => {
  const queues = Array.from({ length: 25 }, (_, id) => queue(id, OTHER));
  const nodes = new TwoNodes(queues, (question) => rowsOf(question, 10));
  const { rows } = await nodes.list('queues');
  assert.deepEqual(
    rows,
    queues.map(({ id }) => `other ${id}`),
  );
  assert.deepEqual(
    nodes.questions.map(({ ids }) => (ids as number[]).length),
    [25, 15, 5],
  );
});

test('a node that does not answer in time is asked once, its queues are down and a note says so', async (context: TestContext) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const queues = Array.from({ length: 600 }, (_, id) => queue(id, OTHER));
  const nodes = new TwoNodes(queues, (question) => rowsOf(question, 1000));
  nodes.network.isMute = true;
  const listed = nodes.list('queues');
  await Promise.resolve();
  context.mock.timers.tick(REPORT_TIMEOUT_MS);
  const { rows, notes } = await listed;
  assert.deepEqual(
    rows,
    queues.map(({ id }) => `down q${id} rabbit@other`),
  );
  assert.deepEqual(notes, ['node rabbit@other did not answer within 5 s: its queues are listed as down']);
});

test('a link that breaks ends the wait at once', async () => {
  const nodes = new TwoNodes([queue(1, OTHER)], (question) => rowsOf(question, 1000));
  nodes.network.isMute = true;
  const listed = nodes.list('queues');
  await Promise.resolve();
  for (const listener of nodes.network.listeners) listener.onLinkDown(OTHER, 1, true);
  assert.deepEqual((await listed).rows, ['down q1 rabbit@other']);
});

test('the scope of a list: online, offline and local queues', async () => {
  const queues = [queue(1, OWN), queue(2, OTHER)];
  const nodes = new TwoNodes(queues, (question) => rowsOf(question, 1000));
  assert.deepEqual((await nodes.list('queues', 'online')).rows, ['own q1', 'other 2']);
  assert.deepEqual((await nodes.list('queues', 'offline')).rows, []);
  assert.deepEqual((await nodes.list('queues', 'local')).rows, ['own q1']);
  nodes.network.link = 0;
  assert.deepEqual((await nodes.list('queues', 'online')).rows, ['own q1']);
  assert.deepEqual((await nodes.list('queues', 'offline')).rows, ['down q2 rabbit@other']);
  assert.deepEqual((await nodes.list('queues', 'local')).rows, ['own q1']);
});

test('connections of other nodes follow the own ones, page by page', async () => {
  const nodes = new TwoNodes([], ({ after }) => {
    const isFirst = after === -1;
    return JSON.stringify({ rows: [[isFirst ? 'first' : 'second']], after: isFirst ? 7 : null, isCut: false });
  });
  assert.deepEqual((await nodes.list('connections')).rows, ['own connection', 'first', 'second']);
  assert.deepEqual(
    nodes.questions.map(({ after }) => after),
    [-1, 7],
  );
});
