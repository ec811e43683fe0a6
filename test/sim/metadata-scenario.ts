/**
 * Lives of a metadata cluster, each from one seed.
 *
 * `faults`: nodes found or join, clients change things on every node while
 * processes die, lose power, pause, get new disks, links break, the network
 * splits one way and both, slows down; then everything is put right and must come
 * to rest. `founding`: nodes start in any order, each is lost and comes back with
 * an empty disk once, and there is never a second cluster.
 */
import assert from 'node:assert/strict';
import { MetadataWorld } from './support/metadata-world.ts';
import type { SimNode } from './support/sim-node.ts';

const NAMES = ['a@h', 'b@h', 'c@h', 'd@h', 'e@h'];
const STORM_MS = 5000;

export function faults(seed: number): MetadataWorld {
  const world = new MetadataWorld(seed);
  const { random } = world;
  const count = [1, 3, 3, 3, 5][random.below(5)]!;
  const nodes = NAMES.slice(0, count).map((name) => world.addNode(name));
  const peers = [...nodes];
  for (const node of nodes) world.events.after(random.below(300), () => world.start(node, peers));
  world.runUntil(() => world.isAtRest(nodes), 15_000, 'founding');
  if (random.oneIn(4)) nodes.push(addRam(world, peers));
  const untilMs = world.events.nowMs + STORM_MS;
  clients(world, nodes, untilMs);
  while (world.events.nowMs < untilMs) {
    fault(world, nodes, peers);
    world.run(50 + random.below(1200));
  }
  settle(world, nodes, peers);
  return world;
}

function addRam(world: MetadataWorld, peers: readonly SimNode[]): SimNode {
  const ram = world.addNode('ram@h', 'ram');
  world.start(ram, [...peers, ram]);
  return ram;
}

function clients(world: MetadataWorld, nodes: readonly SimNode[], untilMs: number): void {
  const next = (): void => {
    if (world.events.nowMs > untilMs) return;
    if (world.openOperations < 30) world.operate(nodes[world.random.below(nodes.length)]!);
    world.events.after(2 + world.random.below(60), next);
  };
  next();
}

type Fault = (world: MetadataWorld, nodes: readonly SimNode[], peers: readonly SimNode[]) => void;

const FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ['kill', (world, nodes, peers) => restartLater(world, pick(world, nodes), peers, (node) => node.kill())],
  [
    'kill of the controller',
    (world, nodes, peers) => restartLater(world, world.controller ?? nodes[0]!, peers, (node) => node.kill()),
  ],
  ['power loss', (world, nodes, peers) => restartLater(world, pick(world, nodes), peers, (node) => node.losePower())],
  [
    'power loss of all',
    (world, nodes, peers) => {
      for (const node of nodes) restartLater(world, node, peers, () => node.losePower());
    },
  ],
  [
    'pause',
    (world, nodes) => {
      const node = pick(world, nodes);
      node.pause();
      world.events.after(50 + world.random.below(2500), () => node.resume());
    },
  ],
  [
    'pause of the controller',
    (world, nodes) => {
      const node = world.controller ?? nodes[0]!;
      node.pause();
      world.events.after(200 + world.random.below(2500), () => node.resume());
    },
  ],
  ['halves', (world, nodes) => split(world, nodes, () => world.random.oneIn(2))],
  ['isolated controller', (world, nodes) => split(world, nodes, (node) => node === world.controller)],
  [
    'one way',
    (world, nodes) => {
      const from = pick(world, nodes);
      for (const to of nodes)
        if (to !== from && world.random.oneIn(2)) blockFor(world, from, to, 100 + world.random.below(3000));
    },
  ],
  [
    'cut from the controller only',
    (world, nodes) => {
      const { controller } = world;
      const node = pick(world, nodes);
      if (controller === null || node === controller) return;
      const forMs = 100 + world.random.below(3000);
      blockFor(world, controller, node, forMs);
      blockFor(world, node, controller, forMs);
    },
  ],
  ['broken link', (world, nodes) => world.network.breakLink(pick(world, nodes).name, pick(world, nodes).name)],
  [
    'flapping',
    (world, nodes) => {
      const [a, b] = [pick(world, nodes), pick(world, nodes)];
      for (let i = 0; i < 12; i++)
        world.events.after(i * (20 + world.random.below(150)), () => world.network.breakLink(a.name, b.name));
    },
  ],
  [
    'slow network',
    (world) => {
      world.network.delayMs = 5 + world.random.below(60);
      world.events.after(300 + world.random.below(1500), () => {
        world.network.delayMs = 0.3;
      });
    },
  ],
  [
    'slow disk',
    (world, nodes) => {
      const node = pick(world, nodes);
      node.diskDelayMs = 20 + world.random.below(600);
      world.events.after(300 + world.random.below(1500), () => {
        node.diskDelayMs = 1;
      });
    },
  ],
  [
    'empty disk',
    (world, nodes, peers) => {
      // Of a minority, with the others up: fewer would be a loss that no cluster survives.
      if (nodes.length < 3 || !world.isAtRest(nodes)) return;
      restartLater(world, pick(world, nodes), peers, (node) => {
        node.kill();
        node.loseDisk();
      });
    },
  ],
];

function fault(world: MetadataWorld, nodes: readonly SimNode[], peers: readonly SimNode[]): void {
  const [name, make] = FAULTS[world.random.below(FAULTS.length)]!;
  world.tally(`fault: ${name}`);
  make(world, nodes, peers);
}

function pick(world: MetadataWorld, nodes: readonly SimNode[]): SimNode {
  return nodes[world.random.below(nodes.length)]!;
}

function restartLater(
  world: MetadataWorld,
  node: SimNode,
  peers: readonly SimNode[],
  end: (node: SimNode) => void,
): void {
  if (!node.isRunning) return;
  end(node);
  world.events.after(20 + world.random.below(3000), () => world.start(node, peers));
}

function split(world: MetadataWorld, nodes: readonly SimNode[], isHere: (node: SimNode) => boolean): void {
  const here = nodes.filter(isHere);
  const there = nodes.filter((node) => !here.includes(node));
  const forMs = 100 + world.random.below(3500);
  for (const a of here) {
    for (const b of there) {
      blockFor(world, a, b, forMs);
      blockFor(world, b, a, forMs);
    }
  }
}

function blockFor(world: MetadataWorld, from: SimNode, to: SimNode, forMs: number): void {
  world.network.block(from.name, to.name);
  world.events.after(forMs, () => world.network.unblock(from.name, to.name));
}

/** Everything is put right: all must serve, agree, and take changes, without anybody's help. */
function settle(world: MetadataWorld, nodes: readonly SimNode[], peers: readonly SimNode[]): void {
  world.network.unblockAll();
  world.network.delayMs = 0.3;
  for (const node of nodes) {
    node.diskDelayMs = 1;
    node.resume();
    world.start(node, peers);
  }
  world.runUntil(() => world.isAtRest(nodes) && world.openOperations === 0, 45_000, 'coming to rest');
  for (const node of nodes) world.operate(node);
  world.runUntil(() => world.openOperations === 0, 1000, 'changes at rest');
  world.runUntil(() => world.isAtRest(nodes), 2000, 'rest');
  world.checkAtRest(nodes);
  world.tally('world at rest');
}

/** Any order of starts, each node lost and empty once; links come up when they like. */
export function founding(seed: number): MetadataWorld {
  const world = new MetadataWorld(seed);
  const { random } = world;
  const count = [1, 3, 5][seed % 3]!;
  const nodes = NAMES.slice(0, count).map((name) => world.addNode(name));
  const order = shuffled(world, nodes);
  const spreadMs = [50, 500, 4000][random.below(3)]!;
  for (const node of order) world.events.after(random.below(spreadMs), () => world.start(node, nodes));
  // Kills, without a loss, while it is decided who founds.
  for (let kills = random.below(4); kills > 0; kills--) {
    world.events.after(random.below(4000), () => restartLater(world, pick(world, nodes), nodes, (node) => node.kill()));
  }
  if (random.oneIn(2)) {
    const [a, b] = [pick(world, nodes), pick(world, nodes)];
    blockFor(world, a, b, random.below(5000));
    blockFor(world, b, a, random.below(5000));
  }
  world.runUntil(() => world.isAtRest(nodes), 25_000, 'founding');
  if (count === 1) return world;
  for (const lost of shuffled(world, nodes)) {
    lost.kill();
    lost.loseDisk();
    world.run(random.below(3000));
    world.start(lost, nodes);
    world.runUntil(() => world.isAtRest(nodes), 25_000, `${lost.name} with an empty disk`);
    world.tally('node replaced');
  }
  assert.equal(world.clusterIds.size, 1);
  return world;
}

function shuffled(world: MetadataWorld, nodes: readonly SimNode[]): readonly SimNode[] {
  const order = [...nodes];
  for (let i = order.length - 1; i > 0; i--) {
    const j = world.random.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

export const SCENARIOS = { faults, founding } as const;
export type ScenarioName = keyof typeof SCENARIOS;
