/**
 * Warren's operator for tests: the admin operations of a node in this process,
 * under the names tests use on every broker. What warrenctl has no command for
 * (limits, topic permissions) goes through definitions, as an operator would do it.
 */
import type { Operable } from '../../../node/node-options.ts';
import { ALL_PERMISSIONS, type BrokerAdmin, type PermissionPatterns } from './admin.ts';

type Item = Readonly<Record<string, unknown>>;

export class WarrenAdmin implements BrokerAdmin {
  private readonly node: () => Operable;

  /** @param node another one after a restart */
  constructor(node: () => Operable) {
    this.node = node;
  }

  async addUser(name: string, password: string, tags: readonly string[] = []): Promise<void> {
    const { users } = this.node().admin;
    await users.add(name, { password, passwordHash: null });
    if (tags.length > 0) await users.setTags(name, tags);
  }

  async deleteUser(name: string): Promise<void> {
    await this.node().admin.users.delete(name);
  }

  async setPermissions(user: string, vhost: string, patterns: PermissionPatterns): Promise<void> {
    await this.node().admin.users.setPermissions(vhost, user, patterns);
  }

  async setTopicPermissions(user: string, vhost: string, exchange: string, write: string, read: string): Promise<void> {
    await this.import('topic_permissions', { user, vhost, exchange, write, read });
  }

  async addVhost(name: string): Promise<void> {
    await this.node().admin.vhosts.add({ name, description: '', tags: [], defaultQueueType: null });
    await this.setPermissions('guest', name, ALL_PERMISSIONS);
  }

  async deleteVhost(name: string): Promise<void> {
    await this.node().admin.vhosts.delete(name);
  }

  async setVhostLimit(vhost: string, limit: string, value: number): Promise<void> {
    await this.import('vhosts', { ...this.exported('vhosts', vhost), limits: { [limit]: value } });
  }

  async setUserLimit(user: string, limit: string, value: number): Promise<void> {
    await this.import('users', { ...this.exported('users', user), limits: { [limit]: value } });
  }

  async setTracing(vhost: string, isOn: boolean): Promise<void> {
    await this.node().admin.vhosts.setTracing(vhost, isOn);
  }

  async setMemoryAlarm(isOn: boolean): Promise<void> {
    this.node().alarms.set('memory', isOn);
  }

  async connectionNames(): Promise<string[]> {
    const { rows } = this.node().admin.tables.list('connections', '/', ['client_properties'], 'all');
    const names: string[] = [];
    for await (const [properties] of rows) {
      if (typeof properties !== 'object' || properties === null || !('connection_name' in properties)) continue;
      names.push(String(properties.connection_name));
    }
    return names;
  }

  private async import(section: string, item: Item): Promise<void> {
    await this.node().admin.definitions.import(JSON.stringify({ [section]: [item] }));
  }

  private exported(section: string, name: string): Item {
    const definitions: Readonly<Record<string, readonly Item[]>> = JSON.parse(this.node().admin.definitions.export());
    const found = definitions[section]?.find((item) => item['name'] === name);
    if (found === undefined) throw new Error(`no ${name} among the ${section} of the definitions`);
    return found;
  }
}
