// Clusters of local nodes: Warren by deploy/cluster.mjs, RabbitMQ by its own
// peer discovery, with one cookie and one name server for all. Comes in: a
// Workshop and how many; goes out: the ports for clients in the order of the
// nodes, and their pids. `discard()` ends and removes everything.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findRabbitServer, RabbitNode, WarrenNode } from './broker-node.mjs';
import { findFreePort, waitUntilServing } from './serving.mjs';
import { findDescendant } from './workshop.mjs';

const startMsMax = 120_000;
const pollMs = 50;

class WarrenCluster {
  name = 'warren';
  static missing = WarrenNode.missing;
  #child = null;

  constructor(workshop, count) {
    this.workshop = workshop;
    this.count = count;
    this.folder = workshop.makeFolder('warren-cluster');
  }

  async start() {
    const readyFile = join(this.folder, 'ready.json');
    const place = ['--data-dir', join(this.folder, 'data'), '--ready-file', readyFile];
    const script = join(WarrenNode.checkout, 'deploy/cluster.mjs');
    const child = this.workshop.start(process.execPath, [script, '--nodes', String(this.count), ...place], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#child = child;
    let endedWith = null;
    child.ended.then((status) => (endedWith = status));
    while (!existsSync(readyFile)) {
      if (endedWith !== null) throw new Error(`the cluster ended with ${endedWith} instead of serving`);
      await sleep(pollMs);
    }
    const { nodes } = JSON.parse(readFileSync(readyFile, 'utf8'));
    this.ports = nodes.map(({ ports }) => ports.amqp);
    this.pids = nodes.map(({ pid }) => pid);
  }

  async discard() {
    if (this.#child !== null) await this.workshop.stop(this.#child, 'SIGTERM');
    this.workshop.removeFolder(this.folder);
  }
}

class RabbitCluster {
  name = 'rabbitmq';
  static missing = RabbitNode.missing;
  ports = [];
  pids = [];
  #children = [];
  #nameServer = null;

  constructor(workshop, count) {
    this.workshop = workshop;
    this.count = count;
    this.folder = workshop.makeFolder('rabbitmq-cluster');
  }

  async start() {
    const epmdPort = String(await findFreePort());
    this.#nameServer = this.workshop.start('epmd', ['-port', epmdPort, '-address', '127.0.0.1']);
    for (let i = 0; i < this.count; i++) this.ports.push(await findFreePort());
    // One after the other: the first founds the cluster, the others join it.
    for (const port of this.ports) await this.#startNode(port, epmdPort);
  }

  async #startNode(port, epmdPort) {
    const place = join(this.folder, String(port));
    for (const name of ['', 'data', 'log']) mkdirSync(join(place, name));
    const settings = [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      'log.console.level = error',
      'cluster_formation.peer_discovery_backend = classic_config',
      ...this.ports.map((each, i) => `cluster_formation.classic_config.nodes.${i + 1} = ${nodeName(each)}`),
    ];
    writeFileSync(join(place, 'rabbitmq.conf'), `${settings.join('\n')}\n`);
    writeFileSync(join(place, 'enabled_plugins'), '[].\n');
    const env = {
      ...process.env,
      HOME: this.folder, // the cookie
      RABBITMQ_NODENAME: nodeName(port),
      RABBITMQ_MNESIA_BASE: join(place, 'data'),
      RABBITMQ_LOG_BASE: join(place, 'log'),
      RABBITMQ_CONFIG_FILE: join(place, 'rabbitmq.conf'),
      RABBITMQ_CONF_ENV_FILE: join(place, 'no-environment-file'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(place, 'enabled_plugins'),
      RABBITMQ_DIST_PORT: String(await findFreePort()),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      ERL_EPMD_PORT: epmdPort,
    };
    const child = this.workshop.start(findRabbitServer(), [], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    await waitUntilServing(port, child, startMsMax);
    const pid = findDescendant(child.pid, 'beam.smp');
    if (pid === null) throw new Error(`no process beam.smp below ${child.pid}, the start script`);
    this.workshop.trackPid(pid);
    this.pids.push(pid);
    this.#children.push({ child, pid });
  }

  async discard() {
    for (const { child, pid } of this.#children) await this.workshop.stop(child, 'SIGKILL', pid);
    if (this.#nameServer !== null) await this.workshop.stop(this.#nameServer, 'SIGKILL');
    this.workshop.removeFolder(this.folder);
  }
}

function nodeName(port) {
  return `bench${port}@localhost`;
}

export const clusterKinds = { rabbitmq: RabbitCluster, warren: WarrenCluster };
