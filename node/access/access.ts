/**
 * Who may do what: users, vhost access, permissions, topic permissions, asked
 * by sessions and front-ends. Decisions come from the metadata's tables through
 * a registry of authentication backends (one today: the internal users).
 */

export type AuthResult =
  | { readonly type: 'accepted'; readonly user: string; readonly tags: readonly string[] }
  /** The text is for the log; clients learn only that login was refused. */
  | { readonly type: 'refused'; readonly reason: string };

export type PermissionKind = 'configure' | 'write' | 'read';

export interface Access {
  /** Checks name and password against the backends, loopback restriction included. Never throws for a wrong login. */
  authenticate(user: string, password: string, peerAddress: string): Promise<AuthResult>;
  userExists(user: string): boolean;
  /** True when the user has any permission in the vhost. */
  mayEnterVhost(user: string, vhost: string): boolean;
  /** Cached by (user, vhost, kind, name) until the next change of users, permissions or vhosts. */
  isAllowed(user: string, vhost: string, kind: PermissionKind, name: string): boolean;
  /** True when there is no topic permission for (user, vhost, exchange) or its pattern, variables expanded and escaped, matches. */
  isTopicAllowed(
    user: string,
    vhost: string,
    exchange: string,
    kind: 'write' | 'read',
    routingKey: string,
    /** For {client_id}: MQTT's. Without one the variable stays as it is written. */
    clientId?: string | null,
  ): boolean;
}
