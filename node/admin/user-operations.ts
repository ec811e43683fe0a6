/**
 * Users and their permissions, as operators change them. Texts are
 * rabbitmqctl's.
 */

import { rowKey, type UserDefinition } from '../../cluster/metadata/definitions.ts';
import type { MetadataClient } from '../../cluster/metadata-client.ts';
import { propose } from './metadata-proposer.ts';
import { AdminRefusal, type NewPassword, type UserOperations } from './operations.ts';

/** Passwords and patterns as the rest of the node understands them. */
export interface AccessRules {
  hashPassword(password: string): { readonly passwordHash: string; readonly hashingAlgorithm: string };
  /** What is wrong with a permission's regular expression; null when nothing is. */
  patternMistake(pattern: string): string | null;
}

const defaultAlgorithm = 'rabbit_password_hashing_sha256';

export class MetadataUserOperations implements UserOperations {
  private readonly metadata: MetadataClient;
  private readonly rules: AccessRules;

  constructor(metadata: MetadataClient, rules: AccessRules) {
    this.metadata = metadata;
    this.rules = rules;
  }

  async add(name: string, password: NewPassword): Promise<void> {
    if (name.trim() === '') throw new AdminRefusal('invalid', 'user cannot be empty');
    const secret = this.secretOf(password);
    const user = { name, ...secret, tags: [], maxConnections: -1, maxChannels: -1 };
    const reply = await propose(this.metadata, { type: 'put-user', user, mode: 'create' });
    if (reply.type === 'exists') throw new AdminRefusal('exists', `User "${name}" already exists`);
  }

  async delete(name: string): Promise<void> {
    const reply = await propose(this.metadata, { type: 'delete-user', name });
    if (reply.type === 'not-found') throw noUser(name);
  }

  async changePassword(name: string, password: string): Promise<void> {
    await this.update(this.user(name), this.secretOf({ password, passwordHash: null }));
  }

  async setTags(name: string, tags: readonly string[]): Promise<void> {
    await this.update(this.user(name), { tags });
  }

  async setPermissions(
    vhost: string,
    user: string,
    patterns: { readonly configure: string; readonly write: string; readonly read: string },
  ): Promise<void> {
    this.checkUserAndVhost(user, vhost);
    for (const pattern of [patterns.configure, patterns.write, patterns.read]) {
      const mistake = this.rules.patternMistake(pattern);
      if (mistake !== null) throw new AdminRefusal('invalid', `{:invalid_regexp, '${pattern}', ${mistake}}`);
    }
    await propose(this.metadata, { type: 'put-permission', permission: { user, vhost, ...patterns } });
  }

  async clearPermissions(vhost: string, user: string): Promise<void> {
    this.checkUserAndVhost(user, vhost);
    if (this.metadata.view.get('permissions', rowKey(user, vhost)) === null) return;
    await propose(this.metadata, { type: 'delete-permission', user, vhost });
  }

  private user(name: string): UserDefinition {
    const user = this.metadata.view.get('users', name);
    if (user === null) throw noUser(name);
    return user;
  }

  private async update(user: UserDefinition, changes: Partial<UserDefinition>): Promise<void> {
    const command = { type: 'put-user', user: { ...user, ...changes }, mode: 'update' } as const;
    const reply = await propose(this.metadata, command);
    if (reply.type === 'not-found') throw noUser(user.name);
  }

  private secretOf({ password, passwordHash }: NewPassword): {
    readonly passwordHash: string;
    readonly hashingAlgorithm: string;
  } {
    if (passwordHash === null) {
      if (password === null || password === '') throw new AdminRefusal('invalid', 'password cannot be empty');
      return this.rules.hashPassword(password);
    }
    const isHash = /^[A-Za-z0-9+/]+={0,2}$/.test(passwordHash) && Buffer.from(passwordHash, 'base64').length === 36;
    if (!isHash) {
      throw new AdminRefusal(
        'invalid',
        'password hash: expected base64 of 36 bytes (salt and SHA-256), got another form',
      );
    }
    return { passwordHash, hashingAlgorithm: defaultAlgorithm };
  }

  /** Texts without quotes, as rabbitmqctl has them for permissions. */
  private checkUserAndVhost(user: string, vhost: string): void {
    if (this.metadata.view.get('vhosts', vhost) === null) {
      throw new AdminRefusal('no-vhost', `Virtual host ${vhost} does not exist`);
    }
    if (this.metadata.view.get('users', user) === null) {
      throw new AdminRefusal('no-user', `User ${user} does not exist`);
    }
  }
}

function noUser(name: string): AdminRefusal {
  return new AdminRefusal('no-user', `User "${name}" does not exist`);
}
