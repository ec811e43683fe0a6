/**
 * The two ways in which AMQP 0-9-1 clients give name and password. Pure; the
 * password goes nowhere but into the result.
 *
 * Source: RFC 4616 (PLAIN), AMQP 0-8's AMQPLAIN; behaviours 11, 12.
 */
import { decodeTable, MalformedTable } from '../../../proto/amqp091/field-table-codec.ts';
import { lookup } from '../../broker/queue/arguments.ts';

export const MECHANISMS = 'PLAIN AMQPLAIN';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** `[authorization id] NUL user NUL password`. */
export function plainCredentials(response: Buffer): Credentials | 'malformed' {
  const first = response.indexOf(0);
  const second = first < 0 ? -1 : response.indexOf(0, first + 1);
  if (second < 0 || response.indexOf(0, second + 1) >= 0) return 'malformed';
  return { user: response.toString('utf8', first + 1, second), password: response.toString('utf8', second + 1) };
}

/** A field table without its length, with LOGIN and PASSWORD. */
export function amqPlainCredentials(response: Buffer): Credentials | 'malformed' | 'empty' {
  if (response.length === 0) return 'empty';
  const table = Buffer.allocUnsafe(response.length + 4);
  table.writeUInt32BE(response.length, 0);
  response.copy(table, 4);
  try {
    const fields = decodeTable(table, 0, table.length);
    const login = lookup(fields, 'LOGIN');
    const password = lookup(fields, 'PASSWORD');
    if (login === null || login.t !== 'S' || password === null || password.t !== 'S') return 'malformed';
    return { user: login.v, password: password.v };
  } catch (error) {
    // Refusal: the client's bytes are no table. Anything else is a bug.
    if (error instanceof MalformedTable) return 'malformed';
    throw error;
  }
}
