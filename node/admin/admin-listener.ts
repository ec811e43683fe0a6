/**
 * Starts the admin service of a node: finds the cookie, then loads grpc-js and
 * listens. What is loaded here is not loaded by a node without an admin port.
 *
 * A node that keeps nothing has no data directory for a cookie: it gets a
 * temporary folder, removed at the stop.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCookie } from '../../cluster/drivers/cookie.ts';
import type { NodeOptions } from '../node-options.ts';
import { StartError } from '../node-options.ts';
import type { AdminServer } from './admin-server.ts';
import type { AdminOperations } from './operations.ts';

export class AdminListener {
  readonly cookieFile: string | null;
  private readonly server: AdminServer;
  private readonly temporaryFolder: string | null;

  private constructor(server: AdminServer, cookieFile: string | null, temporaryFolder: string | null) {
    this.server = server;
    this.cookieFile = cookieFile;
    this.temporaryFolder = temporaryFolder;
  }

  /** What the service is made of. Called early by the start, which then waits for the disk anyway. */
  static load(): Promise<[typeof import('./admin-auth.ts'), typeof import('./admin-server.ts')]> {
    return Promise.all([import('./admin-auth.ts'), import('./admin-server.ts')]);
  }

  get port(): number {
    return this.server.port;
  }

  /** @throws StartError for an unusable cookie or a port that was set and is taken */
  static async start(
    options: NodeOptions,
    amqpPort: number | null,
    operations: AdminOperations,
  ): Promise<AdminListener> {
    const { config, clock, log } = options;
    const { cookieFile, cookie: environment, adminPort } = config.values;
    const needsFolder = config.values.isEphemeral && cookieFile === null && environment === null;
    const temporaryFolder = needsFolder ? mkdtempSync(join(tmpdir(), 'warren-')) : null;
    try {
      const dataDir = temporaryFolder ?? config.values.dataDir;
      const cookie = await loadCookie({ dataDir, file: cookieFile, environment });
      const [{ AdminAuth }, { AdminServer, usualAdminPort }] = await AdminListener.load();
      const auth = new AdminAuth(cookie.text, clock, randomBytes);
      const where = { host: '127.0.0.1', port: adminPort ?? usualAdminPort(amqpPort), isStrict: adminPort !== null };
      return new AdminListener(await AdminServer.start(where, auth, operations, log), cookie.file, temporaryFolder);
    } catch (error) {
      if (temporaryFolder !== null) rmSync(temporaryFolder, { recursive: true, force: true });
      if (!(error instanceof Error)) throw error;
      throw new StartError(error.message, error); // a fault: cookie, port
    }
  }

  async stop(): Promise<void> {
    await this.server.stop();
    if (this.temporaryFolder !== null) rmSync(this.temporaryFolder, { recursive: true, force: true });
  }
}
