/**
 * queue.bind, exchange.bind and their opposites: checks in RabbitMQ's order and
 * words (behaviours 54, 60, 66, 67, 69, 96, 142, 145), then a command to the
 * metadata log. A binding that is there already costs no log entry.
 */
import type { BindingDefinition } from '../../../cluster/metadata/definitions.ts';
import { bindingKey } from '../../../cluster/metadata/keys.ts';
import type { BindingRequest, Identity } from '../session.ts';
import { propose, type SessionContext, vhostOf } from '../session-context.ts';
import type { Vhost } from '../vhost.ts';
import { checkOwner } from './declare-queue.ts';
import { checkNotDefaultExchange, notFound, preconditionFailed, withoutLineEnds } from './names.ts';
import { checkPermission, topicRefusal } from './permissions.ts';

/** @throws Refusal */
export async function bind(context: SessionContext, identity: Identity, request: BindingRequest): Promise<void> {
  const binding = definitionOf(identity, request);
  checkRights(context, identity, binding);
  const vhost = vhostOf(context, identity.vhost);
  checkEnds(vhost, binding);
  vhost.exchanges.get(binding.source)!.type.checkBinding(binding.arguments);
  checkExclusive(vhost, identity, binding);
  if (vhost.bindings.has(bindingKey(binding))) return;
  const reply = await propose(context, { type: 'declare-binding', binding });
  if (reply.type === 'refused') throw preconditionFailed(reply.reason);
  // An end of it was deleted meanwhile: say which; if it is back already, the binding would have to be made again.
  if (reply.type === 'not-found') {
    checkEnds(vhostOf(context, identity.vhost), binding);
    throw notFound(binding.destinationKind, binding.destination, binding.vhost);
  }
}

/** Without effect where there is no such binding. @throws Refusal */
export async function unbind(context: SessionContext, identity: Identity, request: BindingRequest): Promise<void> {
  const binding = definitionOf(identity, request);
  checkRights(context, identity, binding);
  const vhost = vhostOf(context, identity.vhost);
  if (!vhost.bindings.has(bindingKey(binding))) return;
  checkExclusive(vhost, identity, binding);
  const reply = await propose(context, { type: 'delete-binding', binding });
  if (reply.type === 'refused') throw preconditionFailed(reply.reason);
}

function definitionOf(identity: Identity, request: BindingRequest): BindingDefinition {
  return {
    vhost: identity.vhost,
    source: withoutLineEnds(request.source),
    destinationKind: request.destinationKind,
    destination: withoutLineEnds(request.destination),
    routingKey: request.routingKey,
    arguments: request.arguments,
    user: identity.user,
  };
}

function checkRights(context: SessionContext, identity: Identity, binding: BindingDefinition): void {
  const { access } = context;
  checkPermission(access, identity, 'write', binding.destinationKind, binding.destination);
  if (binding.destinationKind === 'exchange') checkNotDefaultExchange(binding.destination);
  checkNotDefaultExchange(binding.source);
  checkPermission(access, identity, 'read', 'exchange', binding.source);
  const source = vhostOf(context, identity.vhost).exchanges.get(binding.source);
  const refusal = source === undefined ? null : topicRefusal(access, identity, 'read', source, binding.routingKey);
  if (refusal !== null) throw refusal;
}

/** RabbitMQ names a missing source before a missing destination. */
function checkEnds(vhost: Vhost, binding: BindingDefinition): void {
  if (!vhost.exchanges.has(binding.source)) throw notFound('exchange', binding.source, vhost.name);
  const destinations = binding.destinationKind === 'queue' ? vhost.queues : vhost.exchanges;
  if (!destinations.has(binding.destination)) {
    throw notFound(binding.destinationKind, binding.destination, vhost.name);
  }
}

function checkExclusive(vhost: Vhost, identity: Identity, binding: BindingDefinition): void {
  const destination = binding.destinationKind === 'queue' ? vhost.queues.get(binding.destination) : undefined;
  if (destination !== undefined) checkOwner(destination.queue.definition, identity);
}
