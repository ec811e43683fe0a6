/**
 * What tests need an operator for: users, vhosts, permissions, limits, an alarm.
 *
 * One interface, two implementations: rabbitmqctl on the original (rabbit.ts),
 * the node's admin operations on Warren (warren-admin.ts).
 */
export interface PermissionPatterns {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

export interface BrokerAdmin {
  /** The user has no permissions yet. */
  addUser(name: string, password: string, tags?: readonly string[]): Promise<void>;
  deleteUser(name: string): Promise<void>;
  setPermissions(user: string, vhost: string, patterns: PermissionPatterns): Promise<void>;
  setTopicPermissions(user: string, vhost: string, exchange: string, write: string, read: string): Promise<void>;
  /** guest gets all permissions in it. */
  addVhost(name: string): Promise<void>;
  deleteVhost(name: string): Promise<void>;
  setVhostLimit(vhost: string, limit: 'max-connections' | 'max-queues', value: number): Promise<void>;
  setUserLimit(user: string, limit: 'max-connections' | 'max-channels', value: number): Promise<void>;
  /** The firehose of a vhost. */
  setTracing(vhost: string, isOn: boolean): Promise<void>;
  /** Makes the memory alarm go off, or ends it. */
  setMemoryAlarm(isOn: boolean): Promise<void>;
  /** `user_provided_name` of every connection that has one. */
  connectionNames(): Promise<string[]>;
}

export const ALL_PERMISSIONS: PermissionPatterns = { configure: '.*', write: '.*', read: '.*' };
