/**
 * The client connections of this node, of all protocols, counted by vhost and
 * user for limits, and closed together when their user or vhost is deleted
 * (behaviour 149).
 */
import type { ClientConnection, ConnectionRegistry } from './front-end.ts';

export class BrokerConnectionRegistry implements ConnectionRegistry {
  private readonly connections = new Set<ClientConnection>();
  private readonly byVhost = new Map<string, Set<ClientConnection>>();
  private readonly byUser = new Map<string, Set<ClientConnection>>();

  get count(): number {
    return this.connections.size;
  }

  add(connection: ClientConnection): void {
    this.connections.add(connection);
    addTo(this.byVhost, connection.identity.vhost, connection);
    addTo(this.byUser, connection.identity.user, connection);
  }

  remove(connection: ClientConnection): void {
    if (!this.connections.delete(connection)) return;
    removeFrom(this.byVhost, connection.identity.vhost, connection);
    removeFrom(this.byUser, connection.identity.user, connection);
  }

  all(): IterableIterator<ClientConnection> {
    return this.connections.values();
  }

  countOfVhost(vhost: string): number {
    return this.byVhost.get(vhost)?.size ?? 0;
  }

  countOfUser(user: string): number {
    return this.byUser.get(user)?.size ?? 0;
  }

  closeOfVhost(vhost: string, text: string): void {
    closeAll(this.byVhost.get(vhost), text);
  }

  closeOfUser(user: string, text: string): void {
    closeAll(this.byUser.get(user), text);
  }
}

/** A connection may take itself out of the registry while it closes. */
function closeAll(connections: ReadonlySet<ClientConnection> | undefined, text: string): void {
  for (const connection of [...(connections ?? [])]) connection.close(text);
}

function addTo(index: Map<string, Set<ClientConnection>>, key: string, connection: ClientConnection): void {
  const members = index.get(key);
  if (members === undefined) index.set(key, new Set([connection]));
  else members.add(connection);
}

function removeFrom(index: Map<string, Set<ClientConnection>>, key: string, connection: ClientConnection): void {
  const members = index.get(key);
  if (members === undefined) return;
  members.delete(connection);
  if (members.size === 0) index.delete(key);
}
