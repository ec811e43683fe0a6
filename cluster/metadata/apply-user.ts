/**
 * Users and what they may do. Deleting a user deletes the permissions; its
 * queues and exchanges stay, as in RabbitMQ.
 */
import { vhostText } from './apply-vhost.ts';
import type { Command, CommandReply } from './commands.ts';
import {
  type PermissionDefinition,
  rowKey,
  type TopicPermissionDefinition,
  type UserDefinition,
} from './definitions.ts';
import type { MetadataState } from './state.ts';

type PutUserMode = Extract<Command, { type: 'put-user' }>['mode'];

export function putUser(state: MetadataState, user: UserDefinition, mode: PutUserMode, index: number): CommandReply {
  const existing = state.get('users', user.name);
  if (mode === 'create' && existing !== null) return { type: 'exists', existing };
  if (mode === 'update' && existing === null) return { type: 'not-found', what: userText(user.name) };
  state.put('users', user);
  return existing === null ? { type: 'created', index } : { type: 'ok' };
}

export function deleteUser(state: MetadataState, name: string): CommandReply {
  const user = state.get('users', name);
  if (user === null) return { type: 'not-found', what: userText(name) };
  for (const permission of state.permissionsByUser.list(name)) state.remove('permissions', permission);
  for (const permission of state.topicPermissionsByUser.list(name)) state.remove('topicPermissions', permission);
  state.remove('users', user);
  return { type: 'ok' };
}

export function putPermission(state: MetadataState, permission: PermissionDefinition, index: number): CommandReply {
  const missing = missingUserOrVhost(state, permission.user, permission.vhost);
  if (missing !== null) return missing;
  const isNew = state.get('permissions', rowKey(permission.user, permission.vhost)) === null;
  state.put('permissions', permission);
  return isNew ? { type: 'created', index } : { type: 'ok' };
}

export function deletePermission(state: MetadataState, user: string, vhost: string): CommandReply {
  const permission = state.get('permissions', rowKey(user, vhost));
  if (permission === null) {
    return { type: 'not-found', what: `permission of ${userText(user)} in ${vhostText(vhost)}` };
  }
  state.remove('permissions', permission);
  return { type: 'ok' };
}

export function putTopicPermission(
  state: MetadataState,
  permission: TopicPermissionDefinition,
  index: number,
): CommandReply {
  const missing = missingUserOrVhost(state, permission.user, permission.vhost);
  if (missing !== null) return missing;
  const key = rowKey(permission.user, permission.vhost, permission.exchange);
  const isNew = state.get('topicPermissions', key) === null;
  state.put('topicPermissions', permission);
  return isNew ? { type: 'created', index } : { type: 'ok' };
}

/** @param exchange null: all of that user in that vhost. */
export function deleteTopicPermission(
  state: MetadataState,
  user: string,
  vhost: string,
  exchange: string | null,
): CommandReply {
  const found = state.topicPermissionsByUser
    .list(user)
    .filter((row) => row.vhost === vhost && (exchange === null || row.exchange === exchange));
  if (found.length === 0) {
    return { type: 'not-found', what: `topic permission of ${userText(user)} in ${vhostText(vhost)}` };
  }
  for (const permission of found) state.remove('topicPermissions', permission);
  return { type: 'ok' };
}

function missingUserOrVhost(state: MetadataState, user: string, vhost: string): CommandReply | null {
  if (state.get('users', user) === null) return { type: 'not-found', what: userText(user) };
  if (state.get('vhosts', vhost) === null) return { type: 'not-found', what: vhostText(vhost) };
  return null;
}

function userText(name: string): string {
  return `user '${name}'`;
}
