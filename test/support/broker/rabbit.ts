/**
 * The original, to check expectations on: starts a RabbitMQ of its own in a
 * folder of its own (rabbitmq-server from the distribution's packages), and is
 * its operator through rabbitmqctl.
 *
 * A folder holds `node` (its Erlang name), `dist` (its distribution port) and
 * `rabbitmq.conf`; `RabbitControl` also works on one that somebody else started.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BrokerAddress } from '../raw-client/connection.ts';
import { ALL_PERMISSIONS, type BrokerAdmin, type PermissionPatterns } from './admin.ts';
import { freePort, waitUntilServing } from './ports.ts';

const RABBIT_BIN = '/usr/lib/rabbitmq/bin';
const START_WITHIN_MS = 60_000;
const run = promisify(execFile);

export function isRabbitInstalled(): boolean {
  return existsSync(join(RABBIT_BIN, 'rabbitmq-server'));
}

/** One RabbitMQ with a folder of its own, which may be killed and launched again. */
export class RabbitNode {
  readonly address: BrokerAddress;
  readonly control: RabbitControl;
  readonly folder: string;
  private server: ChildProcess | null = null;

  private constructor(folder: string, address: BrokerAddress) {
    this.folder = folder;
    this.address = address;
    this.control = new RabbitControl(folder);
  }

  /** @param settings lines of rabbitmq.conf */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RabbitNode> {
    if (!isRabbitInstalled()) throw new Error(`no RabbitMQ in ${RABBIT_BIN}: install the package rabbitmq-server`);
    const folder = mkdtempSync(join(tmpdir(), 'warren-oracle-'));
    const port = await freePort();
    const lines = { 'listeners.tcp.1': `127.0.0.1:${port}`, 'log.console.level': 'error', ...settings };
    const files = {
      node: `oracle${port}@localhost`,
      dist: String(await freePort()),
      enabled_plugins: '[].',
      'rabbitmq.conf': Object.entries(lines)
        .map(([key, value]) => `${key} = ${value}\n`)
        .join(''),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const node = new RabbitNode(folder, { host: '127.0.0.1', port });
    await node.launch();
    return node;
  }

  /** Starts the process on what the folder holds; resolves when it serves. */
  async launch(): Promise<void> {
    this.server = spawn(join(RABBIT_BIN, 'rabbitmq-server'), [], {
      env: environmentOf(this.folder),
      stdio: 'ignore',
      detached: true, // a process group of its own: the start script has children
    });
    await waitUntilServing(this.address, START_WITHIN_MS);
    await this.control.call('await_startup');
  }

  /** `kill -9`: no good-bye, no flush. */
  async kill(): Promise<void> {
    const { server } = this;
    if (server?.pid === undefined) return;
    const gone = once(server, 'exit');
    process.kill(-server.pid, 'SIGKILL');
    await gone;
    this.server = null;
  }

  /** Ends the process at once and removes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** rabbitmqctl on the node of one folder. */
export class RabbitControl implements BrokerAdmin {
  private readonly environment: NodeJS.ProcessEnv;

  constructor(folder: string) {
    this.environment = environmentOf(folder);
  }

  async call(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(join(RABBIT_BIN, 'rabbitmqctl'), ['-q', ...args], { env: this.environment });
    return stdout;
  }

  async addUser(name: string, password: string, tags: readonly string[] = []): Promise<void> {
    await this.call('add_user', name, password);
    if (tags.length > 0) await this.call('set_user_tags', name, ...tags);
  }

  async deleteUser(name: string): Promise<void> {
    await this.call('delete_user', name);
  }

  async setPermissions(user: string, vhost: string, patterns: PermissionPatterns): Promise<void> {
    await this.call('set_permissions', '-p', vhost, user, patterns.configure, patterns.write, patterns.read);
  }

  async setTopicPermissions(user: string, vhost: string, exchange: string, write: string, read: string): Promise<void> {
    await this.call('set_topic_permissions', '-p', vhost, user, exchange, write, read);
  }

  async addVhost(name: string): Promise<void> {
    await this.call('add_vhost', name);
    await this.setPermissions('guest', name, ALL_PERMISSIONS);
  }

  async deleteVhost(name: string): Promise<void> {
    await this.call('delete_vhost', name);
  }

  async setVhostLimit(vhost: string, limit: string, value: number): Promise<void> {
    await this.call('set_vhost_limits', '-p', vhost, JSON.stringify({ [limit]: value }));
  }

  async setUserLimit(user: string, limit: string, value: number): Promise<void> {
    await this.call('set_user_limits', user, JSON.stringify({ [limit]: value }));
  }

  async setTracing(vhost: string, isOn: boolean): Promise<void> {
    await this.call(isOn ? 'trace_on' : 'trace_off', '--vhost', vhost);
  }

  async setMemoryAlarm(isOn: boolean): Promise<void> {
    await this.call('set_vm_memory_high_watermark', isOn ? '0' : '0.9');
  }

  async connectionNames(): Promise<string[]> {
    const properties = await this.call('list_connections', 'client_properties', '--no-table-headers');
    return [...properties.matchAll(/\{"connection_name","([^"]*)"\}/g)].map(([, name = '']) => name);
  }

  /** Stops the broker in good order, clients included, and starts it again on what it kept. */
  async restart(): Promise<void> {
    await this.call('stop_app');
    await this.call('start_app');
  }
}

function environmentOf(folder: string): NodeJS.ProcessEnv {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8').trim();
  return {
    ...process.env,
    HOME: folder,
    RABBITMQ_NODENAME: read('node'),
    RABBITMQ_DIST_PORT: read('dist'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    // Acknowledgement time-outs are looked for once a minute; tests need not wait so long.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-rabbit channel_tick_interval 1000',
  };
}
