/**
 * The permissions that RabbitMQ asks for, in its words (behaviours 142, 143,
 * 145). The verdict is `Access`'s; this only knows what is asked under which
 * name. Answers a Refusal (routes are prepared on the data plane) or throws it.
 */
import type { Access, PermissionKind } from '../../access/access.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { Refusal } from '../refusal.ts';
import type { Identity } from '../session.ts';
import { DEFAULT_EXCHANGE_ALIAS, type ResourceKind } from './names.ts';

/** Null when it is allowed. */
export function permissionRefusal(
  access: Access,
  identity: Identity,
  permission: PermissionKind,
  kind: ResourceKind,
  name: string,
): Refusal | null {
  const asked = kind === 'exchange' && name === '' ? DEFAULT_EXCHANGE_ALIAS : name;
  if (access.isAllowed(identity.user, identity.vhost, permission, asked)) return null;
  const what = `access to ${kind} '${asked}' in vhost '${identity.vhost}' refused for user '${identity.user}'`;
  return new Refusal('access-refused', what);
}

/** @throws Refusal access-refused */
export function checkPermission(
  access: Access,
  identity: Identity,
  permission: PermissionKind,
  kind: ResourceKind,
  name: string,
): void {
  const refusal = permissionRefusal(access, identity, permission, kind, name);
  if (refusal !== null) throw refusal;
}

/** Null when it is allowed, or the exchange is of a type that topic permissions do not concern. */
export function topicRefusal(
  access: Access,
  identity: Identity,
  permission: 'write' | 'read',
  exchange: Exchange,
  routingKey: string,
): Refusal | null {
  if (!exchange.type.hasTopicPermissions) return null;
  const { user, vhost } = identity;
  const name = exchange.definition.name;
  if (access.isTopicAllowed(user, vhost, name, permission, routingKey)) return null;
  const what = `access to topic '${routingKey}' in exchange '${name}' in vhost '${vhost}' refused for user '${user}'`;
  return new Refusal('access-refused', what);
}
