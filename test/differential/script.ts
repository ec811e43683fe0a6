/**
 * What a differential script is: a list of steps that two connections with two
 * channels each take against a broker, one after the other.
 *
 * A script names things by short names (q1 to q4, x1 to x4): the runner puts a
 * prefix of the run before them, so that scripts do not meet each other on a
 * broker, and takes it away again from what the broker says.
 */
import type { FieldInputs, PropertyInputs } from '../support/raw-client/method-codec.ts';

/** Which connection (0 or 1) and which of its channels (1 or 2); both are opened when they are not open. */
export interface Place {
  readonly connection: number;
  readonly channel: number;
}

export type SettleMethod = 'basic.ack' | 'basic.nack' | 'basic.reject';

export type Step =
  | { readonly kind: 'method'; readonly at: Place; readonly name: string; readonly fields: FieldInputs }
  | PublishStep
  | SettleStep
  /** Frames that are wrong, see malformed.ts; `index` picks one. */
  | { readonly kind: 'malformed'; readonly at: Place; readonly name: string }
  /** The socket is cut. */
  | { readonly kind: 'drop'; readonly connection: number }
  /** connection.close in good order. */
  | { readonly kind: 'goodbye'; readonly connection: number };

export interface PublishStep {
  readonly kind: 'publish';
  readonly at: Place;
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly immediate: boolean;
  readonly properties: PropertyInputs;
  /** The body is the message's number, filled up to this many bytes. */
  readonly bodyBytes: number;
  /** The same message this many times in one go. */
  readonly times: number;
}

export interface SettleStep {
  readonly kind: 'settle';
  readonly at: Place;
  readonly method: SettleMethod;
  /** Which of the channel's unsettled deliveries, counted from the oldest; null: a tag that was never given. */
  readonly pick: number | null;
  readonly multiple: boolean;
  readonly requeue: boolean;
}

export type Script = readonly Step[];

/** Short times to live are exactly this long, so that scripts with one are known. */
export const SHORT_TTL_MS = 13;

const SHORT_NAME = /^[qx][1-4]$/;

/** Puts `prefix` before every short name in a step's strings, at any depth. */
export function withPrefix<T>(value: T, prefix: string): T;
export function withPrefix(value: unknown, prefix: string): unknown {
  if (typeof value === 'string') return SHORT_NAME.test(value) ? prefix + value : value;
  if (Array.isArray(value)) return value.map((item: unknown) => withPrefix(item, prefix));
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  const copy: unknown = Object.create(Object.getPrototypeOf(value));
  return Object.assign(
    copy ?? {},
    ...Object.entries(value).map(([key, item]) => ({ [key]: withPrefix(item, prefix) })),
  );
}
