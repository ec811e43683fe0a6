/** Flags of the question `remove`, and how answers to questions look as JSON between nodes. */
import type { QueuedMessage } from '../../../proto/entry/queued-message.ts';
import type { QueueReply } from '../queue/queue.ts';
import { Refusal, type RefusalKind } from '../refusal.ts';

export const REMOVE_IF_UNUSED = 1;
export const REMOVE_IF_EMPTY = 2;

/** The message of `got` goes beside it, as an entry. */
export function encodeReply(reply: QueueReply): string {
  if (reply.type === 'got') return JSON.stringify({ type: 'got', ready: reply.ready });
  if (reply.type === 'refused') {
    return JSON.stringify({ type: 'refused', kind: reply.refusal.kind, reason: reply.refusal.message });
  }
  return JSON.stringify(reply);
}

/** @throws RangeError when it is no answer of this release */
export function decodeReply(text: string, got: QueuedMessage | null): QueueReply {
  const value = parse(text);
  switch (value.type) {
    case 'subscribed':
    case 'cancelled':
    case 'empty':
    case 'stored':
    case 'moved':
    case 'gone':
      return { type: value.type };
    case 'purged':
    case 'removed':
      return { type: value.type, count: numberOf(value.count) };
    case 'counts': {
      const counts = objectOf(value.counts);
      const { ready, unsettled, consumers } = counts;
      return {
        type: 'counts',
        counts: { ready: numberOf(ready), unsettled: numberOf(unsettled), consumers: numberOf(consumers) },
      };
    }
    case 'refused':
      // The kind comes from a node of our cluster; an unknown one is treated like any other text by the front-ends.
      return { type: 'refused', refusal: new Refusal(String(value.kind) as RefusalKind, String(value.reason)) };
    case 'got': {
      if (got === null || got.message === null) throw new RangeError('an answer without its message');
      const { epoch, position, message, isRedelivered, deliveryCount } = got;
      return { type: 'got', epoch, position, message, isRedelivered, deliveryCount, ready: numberOf(value.ready) };
    }
    default:
      throw new RangeError(`unknown answer ${text.slice(0, 60)}`);
  }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return objectOf(JSON.parse(text));
  } catch (error) {
    // Not JSON: the frame is malformed.
    throw new RangeError(`an answer that is not JSON: ${text.slice(0, 60)}`, { cause: error });
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new RangeError('an answer that is no object');
  return value as Readonly<Record<string, unknown>>;
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw new RangeError(`a count that is no number: ${String(value).slice(0, 20)}`);
  return value;
}
