/**
 * Publishes by the thousand, encoded a batch at a time: numbered bodies of one
 * size, sent no faster than the broker reads.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { frame, type RawConnection } from '../../support/raw-client/connection.ts';
import { encodeContentHeader, encodeMethod, type PropertyInputs } from '../../support/raw-client/method-codec.ts';

const LOOK_MS = 1;
const NUMBER_BYTES = 12;
const BATCH_BYTES = 1024 * 1024;
const BODY_FRAME_BYTES_MAX = 131_072 - 8;

export interface Publishes {
  readonly channel: number;
  readonly exchange?: string;
  readonly routingKey: string;
  readonly count: number;
  readonly bodyBytes: number;
  readonly isPersistent?: boolean;
  readonly mandatory?: boolean;
  readonly properties?: PropertyInputs;
  /** Number of the first one. */
  readonly from?: number;
}

/**
 * Resolves when the system has taken the last of them, or nobody wants more: the batch under way may then still be on
 * its way. @returns how many were given to the connection
 */
export async function publishAll(
  connection: RawConnection,
  publishes: Publishes,
  wants: () => boolean = () => true,
): Promise<number> {
  const { from = 0, count, bodyBytes } = publishes;
  const batch = Math.max(1, Math.min(count, Math.floor(BATCH_BYTES / (bodyBytes + 100))));
  let sent = 0;
  while (sent < count && wants() && connection.isOpen) {
    const next = Math.min(batch, count - sent);
    connection.send(encodePublishes(publishes, from + sent, next));
    sent += next;
    while (connection.unsentBytes > 0 && wants() && connection.isOpen) await delay(LOOK_MS);
  }
  return sent;
}

export function encodePublishes(publishes: Publishes, from: number, count: number): Buffer {
  const { channel, exchange = '', routingKey, bodyBytes, isPersistent = false, mandatory = false } = publishes;
  const properties = { deliveryMode: isPersistent ? 2 : 1, ...publishes.properties };
  const head = Buffer.concat([
    frame(1, channel, encodeMethod('basic.publish', { exchange, routingKey, mandatory })),
    frame(2, channel, encodeContentHeader(60, bodyBytes, properties)),
  ]);
  const body = Buffer.alloc(bodyBytes, 'x');
  const parts: Buffer[] = [];
  for (let number = from; number < from + count; number += 1) {
    body.write(String(number).padStart(NUMBER_BYTES, '0'), 'latin1');
    parts.push(head);
    for (let at = 0; at < bodyBytes; at += BODY_FRAME_BYTES_MAX) {
      parts.push(frame(3, channel, body.subarray(at, at + BODY_FRAME_BYTES_MAX)));
    }
  }
  return Buffer.concat(parts);
}

export function numberIn(body: Buffer): number {
  return Number(body.toString('latin1', 0, NUMBER_BYTES));
}
