/**
 * exchange.declare and exchange.delete: checks in RabbitMQ's order and words
 * (behaviours 46 to 58), then a command to the metadata log. What is there
 * already and equal costs no log entry.
 */
import type { ExchangeDefinition } from '../../../cluster/metadata/definitions.ts';
import { type FieldTable, type FieldValue, fieldTypeName, findField } from '../../../proto/amqp091/field-table.ts';
import { invariant } from '../../../proto/base/invariant.ts';
import { exchangeTypes } from '../exchange/registry.ts';
import { differenceText, isEquivalent, valueText } from '../field-values.ts';
import { Refusal } from '../refusal.ts';
import type { DeclareExchange, Identity } from '../session.ts';
import { propose, type SessionContext, vhostOf } from '../session-context.ts';
import {
  checkNotDefaultExchange,
  checkNotReserved,
  notFound,
  preconditionFailed,
  resourceText,
  withoutLineEnds,
} from './names.ts';
import { checkPermission } from './permissions.ts';

const ALTERNATE = 'alternate-exchange';

/** @throws Refusal */
export async function declareExchange(
  context: SessionContext,
  identity: Identity,
  request: DeclareExchange,
): Promise<void> {
  const name = withoutLineEnds(request.name);
  if (request.isPassive) {
    checkNotDefaultExchange(name);
    existingExchange(context, identity, name);
    return;
  }
  if (!exchangeTypes.has(request.type)) {
    throw new Refusal('command-invalid', `unknown exchange type '${request.type}'`);
  }
  checkNotDefaultExchange(name);
  checkPermission(context.access, identity, 'configure', 'exchange', name);
  const vhost = vhostOf(context, identity.vhost);
  const existing = vhost.exchanges.get(name);
  if (existing !== undefined) {
    checkExchangeEquivalent(existing.definition, request);
    return;
  }
  checkNotReserved('exchange', name);
  checkAlternate(context, identity, name, request.arguments);
  const definition: ExchangeDefinition = {
    vhost: identity.vhost,
    name,
    type: request.type,
    isDurable: request.isDurable,
    isAutoDelete: request.isAutoDelete,
    isInternal: request.isInternal,
    arguments: request.arguments,
    user: identity.user,
  };
  const reply = await propose(context, { type: 'declare-exchange', exchange: definition });
  if (reply.type === 'created' || reply.type === 'ok') return;
  if (reply.type === 'refused') throw preconditionFailed(reply.reason);
  if (reply.type === 'not-found') throw new Refusal('not-found', `vhost ${identity.vhost} not found`);
  // Another client was faster: judge against what it declared.
  invariant(reply.type === 'exists' && 'isInternal' in reply.existing, 'a declare is answered by what was declared');
  checkExchangeEquivalent(reply.existing, request);
}

/** @throws Refusal */
export async function deleteExchange(
  context: SessionContext,
  identity: Identity,
  requestedName: string,
  ifUnused: boolean,
): Promise<void> {
  const name = withoutLineEnds(requestedName);
  checkNotDefaultExchange(name);
  const what = resourceText('exchange', name, identity.vhost);
  if (name.startsWith('amq.')) throw new Refusal('access-refused', `deletion of system ${what} not allowed`);
  checkPermission(context.access, identity, 'configure', 'exchange', name);
  const exchange = vhostOf(context, identity.vhost).exchanges.get(name);
  if (exchange === undefined) return;
  if (ifUnused && exchange.bindingsFrom.size > 0) throw preconditionFailed(`${what} in use`);
  const reply = await propose(context, { type: 'delete-exchange', vhost: identity.vhost, name, ifUnused });
  if (reply.type === 'in-use') throw preconditionFailed(`${what} in use`);
  if (reply.type === 'refused') throw new Refusal('access-refused', reply.reason);
}

/** @throws Refusal not-found */
export function existingExchange(context: SessionContext, identity: Identity, name: string): ExchangeDefinition {
  const exchange = context.topology.vhosts.get(identity.vhost)?.exchanges.get(name);
  if (exchange === undefined) throw notFound('exchange', name, identity.vhost);
  return exchange.definition;
}

/** @throws Refusal precondition-failed naming the first difference: behaviours 49 and 50 */
export function checkExchangeEquivalent(existing: ExchangeDefinition, request: DeclareExchange): void {
  const where = resourceText('exchange', existing.name, existing.vhost);
  const differs = (argument: string, received: string, current: string): Refusal =>
    preconditionFailed(`inequivalent arg '${argument}' for ${where}: received ${received} but current is ${current}`);
  const properties: readonly (readonly [string, string | boolean, string | boolean])[] = [
    ['type', request.type, existing.type],
    ['durable', request.isDurable, existing.isDurable],
    ['auto_delete', request.isAutoDelete, existing.isAutoDelete],
    ['internal', request.isInternal, existing.isInternal],
  ];
  for (const [argument, received, current] of properties) {
    if (received !== current) throw differs(argument, `'${received}'`, `'${current}'`);
  }
  const received = findField(request.arguments, ALTERNATE);
  const current = findField(existing.arguments, ALTERNATE);
  if (received === null && current === null) return;
  if (received === null || current === null) throw differs(ALTERNATE, withType(received), withType(current));
  if (isEquivalent(received, current)) return;
  throw preconditionFailed(`inequivalent arg '${ALTERNATE}' for ${where}: ${differenceText(received, current)}`);
}

function withType(value: FieldValue | null): string {
  return value === null ? 'none' : `the value '${valueText(value)}' of type '${fieldTypeName(value)}'`;
}

/** Behaviours 52 and 143. @throws Refusal */
function checkAlternate(context: SessionContext, identity: Identity, name: string, table: FieldTable): void {
  const alternate = findField(table, ALTERNATE);
  if (alternate === null) return;
  if (alternate.t !== 'S') {
    const where = resourceText('exchange', name, identity.vhost);
    throw preconditionFailed(`invalid type '${fieldTypeName(alternate)}' for arg '${ALTERNATE}' in ${where}`);
  }
  checkPermission(context.access, identity, 'read', 'exchange', name);
  checkPermission(context.access, identity, 'write', 'exchange', alternate.v);
}
