/**
 * Purge and delete, as operators ask for them: the same questions that a
 * client's channel puts to the live queue, with promises around the sink.
 */
import type { Queue, QueueReply, QueueReplySink } from '../broker/queue/queue.ts';
import { AdminRefusal, type QueueOperations } from './operations.ts';

/** Where live queues are found. */
export interface QueueFinder {
  /** Null when there is none of that name. */
  find(vhost: string, name: string): Queue | null;
}

const answerTimeoutMs = 30_000;
const attemptsMax = 5;

export class LiveQueueOperations implements QueueOperations {
  private readonly queues: QueueFinder;

  constructor(queues: QueueFinder) {
    this.queues = queues;
  }

  async purge(vhost: string, name: string): Promise<number> {
    const reply = await this.ask(vhost, name, 'not_found', (queue, sink) => queue.purge(sink, 0));
    return reply.type === 'purged' ? reply.count : 0;
  }

  async delete(
    vhost: string,
    name: string,
    conditions: { readonly ifEmpty: boolean; readonly ifUnused: boolean },
  ): Promise<number> {
    const reply = await this.ask(vhost, name, 'Queue not found', (queue, sink) => queue.remove(conditions, sink, 0));
    return reply.type === 'removed' ? reply.count : 0;
  }

  /** Asks again while the leader moves, as often as is sensible. */
  private async ask(
    vhost: string,
    name: string,
    missing: string,
    put: (queue: Queue, sink: QueueReplySink) => void,
  ): Promise<QueueReply> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const queue = this.queues.find(vhost, name);
      if (queue === null) throw new AdminRefusal('no-queue', missing);
      const reply = await answer(queue, put);
      if (reply.type === 'gone') throw new AdminRefusal('no-queue', missing);
      if (reply.type === 'refused') throw refusalOf(reply.refusal.message);
      if (reply.type !== 'moved') return reply;
    }
    throw new AdminRefusal('unavailable', `queue '${name}' in vhost '${vhost}' moved ${attemptsMax} times, try again`);
  }
}

function answer(queue: Queue, put: (queue: Queue, sink: QueueReplySink) => void): Promise<QueueReply> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const text = `the leader of queue '${queue.definition.name}' did not answer in ${answerTimeoutMs} ms`;
      reject(new AdminRefusal('unavailable', text));
    }, answerTimeoutMs);
    put(queue, {
      onQueueReply: (_queue, _token, reply) => {
        clearTimeout(timer);
        resolve(reply);
      },
    });
  });
}

/** The queue says `in use` or `not empty` at the end of its text. */
function refusalOf(text: string): AdminRefusal {
  if (text.endsWith('in use')) return new AdminRefusal('in-use', 'Queue is in use');
  if (text.endsWith('not empty')) return new AdminRefusal('not-empty', 'Queue is not empty');
  return new AdminRefusal('invalid', text);
}
