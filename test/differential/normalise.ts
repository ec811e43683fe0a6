/**
 * Makes what a broker says comparable: methods as lines of text, with made-up
 * names, times and the run's prefix replaced.
 *
 * Server-made names become numbers in the order they turn up. Times are hidden:
 * that they are there is compared, not what they say. Tables are compared
 * without regard to the order of their keys.
 *
 * Known differences are taken out here: see docs/differences.md.
 */
import type { Method } from '../support/raw-client/method-codec.ts';
import { Typed } from '../support/raw-client/table.ts';

export class Names {
  private readonly prefix: string;
  private readonly seen = new Map<string, string>();

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  hide(text: string): string {
    return (
      text
        .replaceAll(this.prefix, '')
        // RabbitMQ leaves it out where the message was read from its disk.
        .replace(/"original-expiration":"[^"]*",?/, '')
        // RabbitMQ breaks long terms into lines.
        .replace(/\\n +/g, '')
        // RabbitMQ says "invalid" where the name happens to be a word that its virtual machine knows.
        .replace('invalid exchange type', 'unknown exchange type')
        .replace(/amq\.(gen|ctag)-[\w-]{22}/g, (name, kind: string) => this.numbered(name, `amq.${kind}`))
        .replace(/amq\.rabbitmq\.reply-to\.[\w+/=.-]+/g, (name) => this.numbered(name, 'amq.rabbitmq.reply-to'))
    );
  }

  private numbered(name: string, kind: string): string {
    const known =
      this.seen.get(name) ?? `${kind}-${[...this.seen.values()].filter((value) => value.startsWith(kind)).length + 1}`;
    this.seen.set(name, known);
    return known;
  }
}

/** `basic.deliver {...fields} {...properties} "body"` */
export function textOf(method: Method): string {
  const parts = [method.name, json(method.fields)];
  if (method.hasContent) parts.push(json(propertiesOf(method)), JSON.stringify(method.content.body.toString('latin1')));
  return parts.join(' ');
}

/** Without the delivery tag: what several queues send to one channel comes in any order. */
export function withoutTag(method: Method): string {
  return textOf(method).replace(/"deliveryTag":\d+,/, '');
}

/** RabbitMQ leaves the count out of a first delivery at times. */
function propertiesOf(method: Method): Record<string, unknown> {
  const properties: Record<string, unknown> = method.properties.toObject();
  const headers = Object.entries(method.properties.typedHeaders);
  const kept = headers.filter(([key, field]) => key !== 'x-delivery-count' || String(field.value) !== '0');
  if (kept.length > 0) return { ...properties, headers: Object.fromEntries(kept) };
  const { headers: _headers, ...others } = properties;
  return others;
}

function json(value: unknown): string {
  return JSON.stringify(plain(value));
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (Buffer.isBuffer(value)) return `bytes ${value.toString('hex')}`;
  if (value instanceof Typed) return typedText(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, key === 'time' ? timeText(item) : plain(item)]));
}

function typedText(field: Typed): unknown {
  const { tag, value } = field;
  return tag === 'F' || tag === 'A' ? { [tag]: plain(value) } : `${tag} ${String(plain(value))}`;
}

/** x-death says when. */
function timeText(value: unknown): unknown {
  return value instanceof Typed && value.tag === 'T' ? 'T now' : plain(value);
}
