/**
 * This node's answers to what other nodes ask for their operators:
 *
 *   {about: 'queues' | 'consumers', columns, ids}         -> {done, rows: [[queue id, cells], ...], isCut}
 *   {about: 'connections' | 'channels', columns, after}   -> {rows: [cells, ...], after, isCut: false}
 *   {about: 'node'}                                       -> its status
 *
 * Nothing is kept between two questions. An answer ends near a megabyte: `done`
 * says how many of the queues it is about, `after` where to go on (null: that
 * was all), the numbers of connections rising. Only queues led here have rows.
 */
import type { ConnectionRegistry } from '../../broker/front-end.ts';
import type { LiveQueue } from '../../broker/queue/live-queue.ts';
import type { Cell, NodeStatus } from '../operations.ts';
import type { LocalRows } from '../table-operations.ts';
import type { Report, ReportAnswerer } from './peer-reports.ts';

/** An answer is closed after the queue or connection that makes it larger (characters). */
const ANSWER_LENGTH_MAX = 1024 * 1024;
/** Of one queue, or of one connection, no more than this: what follows is left out. A frame may have 16 MiB. */
const ITEM_LENGTH_MAX = 4 * 1024 * 1024;

export interface AnsweringNode {
  readonly rows: LocalRows;
  readonly connections: ConnectionRegistry;
  /** Null when there is none, or another node leads it. */
  findLed(queueId: number): LiveQueue | null;
  status(): NodeStatus;
}

export function reportAnswerer(node: AnsweringNode): ReportAnswerer {
  return (question) => {
    const { about } = question;
    if (about === 'queues' || about === 'consumers') return ofQueues(node, about, question);
    if (about === 'connections' || about === 'channels') return ofConnections(node, about, question);
    return about === 'node' ? JSON.stringify(node.status()) : null;
  };
}

function ofQueues(node: AnsweringNode, about: 'queues' | 'consumers', question: Report): string {
  const names = textsOf(question['columns']);
  const ids = numbersOf(question['ids']);
  const rows = new AnswerRows();
  let done = 0;
  while (done < ids.length && !rows.isFull) {
    const id = ids[done++]!;
    const queue = node.findLed(id);
    if (queue !== null) rows.add(node.rows.ofQueue(about, queue, names), (cells) => [id, cells]);
  }
  return `{"done":${done},"rows":${rows.text()},"isCut":${rows.isCut}}`;
}

function ofConnections(node: AnsweringNode, about: 'connections' | 'channels', question: Report): string {
  const names = textsOf(question['columns']);
  const after = typeof question['after'] === 'number' ? question['after'] : -1;
  const all = [...node.connections.all()]
    .map((connection) => ({ connection, number: numberOfConnection(connection.identity.connectionId) }))
    .filter(({ number }) => number > after)
    .sort((a, b) => a.number - b.number);
  const rows = new AnswerRows();
  let last: number | null = null;
  for (const { connection, number } of all) {
    if (rows.isFull) return `{"rows":${rows.text()},"after":${last},"isCut":${rows.isCut}}`;
    rows.add(node.rows.ofConnection(about, connection, names), (cells) => cells);
    last = number;
  }
  return `{"rows":${rows.text()},"after":null,"isCut":${rows.isCut}}`;
}

/** The counter at the end of `node id.incarnation.counter`. */
function numberOfConnection(id: string): number {
  return Number(id.slice(id.lastIndexOf('.') + 1));
}

class AnswerRows {
  isCut = false;
  private readonly rows: string[] = [];
  private length = 0;

  get isFull(): boolean {
    return this.length > ANSWER_LENGTH_MAX;
  }

  /** All rows of one queue or connection. */
  add(rows: Iterable<readonly Cell[]>, wrap: (cells: readonly Cell[]) => unknown): void {
    const begin = this.length;
    for (const cells of rows) {
      if (this.length - begin > ITEM_LENGTH_MAX) {
        this.isCut = true;
        return;
      }
      const text = JSON.stringify(wrap(cells));
      this.rows.push(text);
      this.length += text.length;
    }
  }

  text(): string {
    return `[${this.rows.join(',')}]`;
  }
}

function textsOf(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new RangeError('a question without its columns');
}

function numbersOf(value: unknown): readonly number[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'number')) return value;
  throw new RangeError('a question without the ids of queues');
}
