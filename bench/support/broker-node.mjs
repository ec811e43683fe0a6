// One broker on this machine, in a folder and on ports of its own: Warren of
// this checkout, or an installed RabbitMQ. Comes in: a Workshop, which keeps
// the processes; goes out: port, pid, how long a start took, memory. The
// folder outlives `stop`, so that a second `start` is a restart.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readMemory } from './memory.mjs';
import { findFreePort, waitUntilServing } from './serving.mjs';
import { findDescendant } from './workshop.mjs';

/** This checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url));
const startMsMax = 900_000;

class BrokerNode {
  port = 0;
  pid = 0;
  version = '';
  #child = null;
  #output = '';

  constructor(workshop, name) {
    this.workshop = workshop;
    this.name = name;
    this.folder = workshop.makeFolder(name);
  }

  /** Milliseconds from the start of the process to the answer to an AMQP header. */
  async start() {
    if (this.port === 0) await this.prepare();
    const { command, args, environment } = this.launch();
    const startedAtMs = performance.now();
    const child = this.workshop.start(command, args, { env: { ...process.env, ...environment } });
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => (this.#output = (this.#output + chunk).slice(-2000)));
    }
    try {
      const { atMs, version } = await waitUntilServing(this.port, child, startMsMax);
      this.pid = this.findPid(child.pid);
      if (this.pid !== child.pid) this.workshop.trackPid(this.pid);
      this.version = this.versionFrom(version);
      return atMs - startedAtMs;
    } catch (error) {
      throw new Error(`${this.name} does not start: ${error.message}\n${this.#output.trim()}`, { cause: error });
    }
  }

  /** SIGTERM ends it in order, SIGKILL is the power cut of a process. */
  async stop(signal = 'SIGTERM') {
    if (this.#child === null) return;
    await this.workshop.stop(this.#child, signal, this.pid || this.#child.pid);
    this.#child = null;
  }

  memory() {
    return readMemory(this.pid);
  }

  async discard() {
    await this.stop('SIGKILL');
    this.workshop.removeFolder(this.folder);
  }
}

export class WarrenNode extends BrokerNode {
  /** The checkout that is measured; another one to compare two states of the source. */
  static checkout = root;

  constructor(workshop) {
    super(workshop, 'warren');
  }

  static missing() {
    const entry = join(WarrenNode.checkout, 'dist/lib/main.js');
    return existsSync(entry) ? null : `Warren is not built (no ${entry}): npm run build`;
  }

  async prepare() {
    this.port = await findFreePort();
  }

  launch() {
    const settings = ['log.console.level=error', 'distribution.port=0'].flatMap((setting) => ['--set', setting]);
    const place = ['--port', `127.0.0.1:${this.port}`, '--data-dir', join(this.folder, 'data')];
    return {
      command: process.execPath,
      args: [join(WarrenNode.checkout, 'bin/warren'), ...place, ...settings],
      environment: {},
    };
  }

  findPid(pid) {
    return pid;
  }

  versionFrom() {
    return JSON.parse(readFileSync(join(WarrenNode.checkout, 'package.json'), 'utf8')).version;
  }
}

export class RabbitNode extends BrokerNode {
  #environment = {};
  #nameServer = null;

  constructor(workshop) {
    super(workshop, 'rabbitmq');
  }

  static missing() {
    return findRabbitServer() === null ? 'rabbitmq-server is not installed' : null;
  }

  /** Its own node name, folders, ports and name server; no plugins. */
  async prepare() {
    const { folder } = this;
    this.port = await findFreePort();
    const epmdPort = await findFreePort();
    for (const name of ['data', 'log']) mkdirSync(join(folder, name));
    const settings = [`listeners.tcp.1 = 127.0.0.1:${this.port}`, 'log.console.level = error'];
    writeFileSync(join(folder, 'rabbitmq.conf'), `${settings.join('\n')}\n`);
    writeFileSync(join(folder, 'enabled_plugins'), '[].\n');
    this.#environment = {
      HOME: folder,
      RABBITMQ_NODENAME: `bench${this.port}@localhost`,
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
      RABBITMQ_CONF_ENV_FILE: join(folder, 'no-environment-file'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
      RABBITMQ_DIST_PORT: String(await findFreePort()),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      ERL_EPMD_PORT: String(epmdPort),
    };
    // Started here, so that it is ours to end: a node would leave one behind.
    // Its `error` (no such program) only means that the node has to do that.
    this.#nameServer = this.workshop.start('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1']);
  }

  async discard() {
    await this.stop('SIGKILL');
    if (this.#nameServer !== null) await this.workshop.stop(this.#nameServer, 'SIGKILL');
    await super.discard();
  }

  launch() {
    return { command: findRabbitServer(), args: [], environment: this.#environment };
  }

  /** The script stays as the parent of the Erlang machine. */
  findPid(pid) {
    const found = findDescendant(pid, 'beam.smp');
    if (found === null) throw new Error(`no process beam.smp below ${pid}, the start script`);
    return found;
  }

  versionFrom(announced) {
    return announced;
  }
}

/**
 * The script itself, not Debian's wrapper on the path: that one changes the
 * user and loses the environment.
 */
export function findRabbitServer() {
  const debian = '/usr/lib/rabbitmq/bin/rabbitmq-server';
  if (existsSync(debian)) return debian;
  try {
    const found = execFileSync('sh', ['-c', 'command -v rabbitmq-server'], { encoding: 'utf8' }).trim();
    return join(dirname(realpathSync(found)), 'rabbitmq-server');
  } catch {
    return null; // not on the path
  }
}

export const brokerKinds = { warren: WarrenNode, rabbitmq: RabbitNode };
