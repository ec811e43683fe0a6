/**
 * What a node with an empty disk does: join, found, let another found, or wait.
 * Pure: from what its configured peers say now, its own promise and the time it
 * has waited.
 *
 * At most one cluster is founded: the founder needs the promise of a majority of
 * the configured disc peers, each node promises one candidacy at a time, on its
 * disk, and takes a promise back only when the candidate itself says that it
 * stands no more, or comes back with another disk. Whoever hears of a cluster
 * joins it. A disk that was lost forgets its promise: so nobody founds before all
 * configured peers have answered or had time to.
 *
 * Source: docs/replication.md, "Founding".
 */

/** Whom this node lets found a cluster. */
export interface FoundingPromise {
  readonly nodeId: string;
  readonly name: string;
  readonly candidacy: number;
}

/** What a connected peer said last. */
export interface PeerAnswer {
  readonly nodeId: string;
  readonly name: string;
  readonly kind: 'disc' | 'ram';
  /** '': none. */
  readonly clusterId: string;
  readonly names: readonly string[];
  /** 0: it does not stand. */
  readonly candidacy: number;
  readonly grantedTo: string;
  readonly grantedCandidacy: number;
}

export interface FoundingView {
  readonly nodeId: string;
  readonly name: string;
  readonly kind: 'disc' | 'ram';
  /** Configured peers with this node, sorted, each once. */
  readonly names: readonly string[];
  readonly answers: readonly PeerAnswer[];
  readonly promise: FoundingPromise | null;
  /** Number of the own candidacy, 0: none. */
  readonly candidacy: number;
  readonly waitedMs: number;
  /** For how long all configured peers are waited for before a majority is enough. */
  readonly patienceMs: number;
}

export type FoundingDecision =
  | { readonly type: 'join'; readonly clusterId: string }
  | { readonly type: 'found' }
  /** Promise oneself a new candidacy, and ask the others. */
  | { readonly type: 'stand' }
  | { readonly type: 'promise'; readonly promise: FoundingPromise }
  /** The promise, or the own candidacy, is over. */
  | { readonly type: 'withdraw' }
  | { readonly type: 'wait'; readonly text: string };

export function decideFounding(view: FoundingView): FoundingDecision {
  const clusterIds = [...new Set(view.answers.map(({ clusterId }) => clusterId).filter((id) => id !== ''))];
  if (clusterIds.length > 1) return wait(`peers belong to different clusters (${clusterIds.sort().join(', ')})`);
  if (clusterIds.length === 1) return { type: 'join', clusterId: clusterIds[0]! };
  if (view.kind === 'ram') return wait(`a ram node founds no cluster: waiting for one of ${others(view)}`);
  const discs = view.answers.filter((answer) => answer.kind === 'disc' && view.names.includes(answer.name));
  const odd = discs.find((answer) => answer.names.join(' ') !== view.names.join(' '));
  if (odd !== undefined) {
    return wait(
      `${odd.name} is configured with other peers (${odd.names.join(', ')}) than this node (${view.names.join(', ')})`,
    );
  }
  if (isPromiseOver(view, discs)) return { type: 'withdraw' };
  const rams = view.answers.filter((answer) => answer.kind === 'ram').map(({ name }) => name);
  const electorate = view.names.filter((name) => !rams.includes(name));
  const present = [view.name, ...discs.map(({ name }) => name)].sort();
  const absent = electorate.filter((name) => !present.includes(name));
  const majority = Math.floor(electorate.length / 2) + 1;
  if (present.length < majority) {
    return wait(
      `${present.length} of ${electorate.length} configured disc nodes have answered, ${majority} are needed: waiting for ${absent.join(', ')}`,
    );
  }
  if (absent.length > 0 && view.waitedMs < view.patienceMs) {
    return wait(
      `waiting up to ${view.patienceMs} ms for ${absent.join(', ')} to answer before a cluster is founded without`,
    );
  }
  const first = present[0]!;
  return first === view.name ? decideAsFirst(view, discs, majority) : decideAsOther(view, discs, first);
}

/** Nothing founds on it any more: its candidate is here and does not stand for it, or came with another disk. */
function isPromiseOver({ promise, nodeId, candidacy }: FoundingView, discs: readonly PeerAnswer[]): boolean {
  if (promise === null) return false;
  if (promise.nodeId === nodeId) return promise.candidacy !== candidacy;
  const candidate = discs.find(({ name }) => name === promise.name);
  if (candidate === undefined) return false;
  return candidate.nodeId !== promise.nodeId || candidate.candidacy !== promise.candidacy;
}

function decideAsFirst(view: FoundingView, discs: readonly PeerAnswer[], majority: number): FoundingDecision {
  const { promise, nodeId, candidacy } = view;
  if (promise !== null && promise.nodeId !== nodeId) return waitForPromised(promise);
  if (promise === null) return { type: 'stand' };
  const granted = discs.filter(
    (answer) => answer.grantedTo === nodeId && answer.grantedCandidacy === candidacy && candidacy !== 0,
  );
  if (granted.length + 1 >= majority) return { type: 'found' };
  return wait(`${granted.length + 1} nodes let this one found the cluster, ${majority} are needed`);
}

function decideAsOther(view: FoundingView, discs: readonly PeerAnswer[], first: string): FoundingDecision {
  const { promise, nodeId } = view;
  if (promise !== null && promise.nodeId === nodeId) return { type: 'withdraw' };
  if (promise !== null) return waitForPromised(promise);
  const candidate = discs.find(({ name }) => name === first)!;
  if (candidate.candidacy === 0) return wait(`waiting for ${first} to found the cluster`);
  return { type: 'promise', promise: { nodeId: candidate.nodeId, name: first, candidacy: candidate.candidacy } };
}

function waitForPromised({ name }: FoundingPromise): FoundingDecision {
  return wait(`waiting for ${name}, which this node has let found the cluster`);
}

function others({ names, name }: FoundingView): string {
  return names.filter((other) => other !== name).join(', ');
}

function wait(text: string): FoundingDecision {
  return { type: 'wait', text };
}
