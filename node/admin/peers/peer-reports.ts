/**
 * Questions that an operator's command puts to other nodes, and their answers:
 * one frame each, over the links that the queues use. A node that is not linked,
 * loses its link or does not answer in time has not answered: null, never an
 * error, since a list without one node is still of use.
 *
 * Knows nothing of what is asked: see `report-answers.ts`. It is there before
 * the first link; until `serve` it has no answers of its own, and the others
 * wait for them.
 */
import {
  type FrameHandler,
  PeerChannel,
  type PeerIdentity,
  type PeerListener,
  type PeerNetwork,
} from '../../../cluster/peer-network.ts';
import { FrameKind } from '../../../proto/peer/frame-kinds.ts';
import { decodeReport, encodeReport } from '../../../proto/peer/report-frames.ts';

/** A node that is well answers in milliseconds; one that stalls is held for dead soon after. */
export const REPORT_TIMEOUT_MS = 5000;
/** Questions under way, to all nodes together: a list has one per node at a time. */
const QUESTIONS_MAX = 1000;

/** What a report consists of: JSON. */
export type Report = Readonly<Record<string, unknown>>;

/** Gives this node's answer to a question; null for one that it does not know. @throws RangeError when it is malformed */
export type ReportAnswerer = (question: Report) => string | null;

interface Question {
  readonly nodeId: string;
  readonly timer: NodeJS.Timeout;
  resolve(answer: Report | null): void;
}

export class PeerReports implements PeerListener {
  private readonly network: PeerNetwork;
  private answerer: ReportAnswerer | null = null;
  private readonly questions = new Map<number, Question>();
  private lastNumber = 0;

  /** Subscribes to the network: make it before the first link. */
  constructor(network: PeerNetwork) {
    this.network = network;
    network.subscribe(this);
    const onRequest: FrameHandler = { onFrame: (nodeId, link, frame) => this.onRequest(nodeId, link, frame) };
    const onAnswer: FrameHandler = { onFrame: (nodeId, _link, frame) => this.onAnswer(nodeId, frame) };
    network.handle(FrameKind.reportRequest, onRequest);
    network.handle(FrameKind.reportAnswer, onAnswer);
  }

  /** Questions of other nodes are answered from now on. */
  serve(answerer: ReportAnswerer): void {
    this.answerer = answerer;
  }

  isLinked(nodeId: string): boolean {
    return this.network.linkOf(nodeId) !== 0;
  }

  /** Null: no answer, for whatever reason, within `REPORT_TIMEOUT_MS`. */
  ask(nodeId: string, question: Report): Promise<Report | null> {
    const link = this.network.linkOf(nodeId);
    if (link === 0 || this.questions.size >= QUESTIONS_MAX) return Promise.resolve(null);
    const number = ++this.lastNumber;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.settle(number, null), REPORT_TIMEOUT_MS);
      timer.unref();
      this.questions.set(number, { nodeId, timer, resolve });
      const frame = encodeReport('request', { number, text: JSON.stringify(question) });
      if (!this.network.send(nodeId, link, PeerChannel.bulk, frame)) this.settle(number, null);
    });
  }

  onLinkUp(_peer: PeerIdentity, _link: number): void {}

  onLinkDown(nodeId: string, _link: number, _isRefused: boolean): void {
    for (const [number, question] of [...this.questions]) if (question.nodeId === nodeId) this.settle(number, null);
  }

  private onRequest(nodeId: string, link: number, frame: Uint8Array): void {
    const { number, text } = decodeReport(frame);
    const answer = this.answerer?.(parse(text)) ?? null;
    // A question of a later release, or one that comes before this node serves: no answer, and that is an answer too.
    this.network.send(nodeId, link, PeerChannel.bulk, encodeReport('answer', { number, text: answer ?? 'null' }));
  }

  private onAnswer(nodeId: string, frame: Uint8Array): void {
    const { number, text } = decodeReport(frame);
    if (this.questions.get(number)?.nodeId !== nodeId) return; // too late
    this.settle(number, text === 'null' ? null : parse(text));
  }

  private settle(number: number, answer: Report | null): void {
    const question = this.questions.get(number);
    if (question === undefined) return;
    this.questions.delete(number);
    clearTimeout(question.timer);
    question.resolve(answer);
  }
}

/** @throws RangeError */
function parse(text: string): Report {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Not JSON: the frame is malformed.
    throw new RangeError(`a report that is not JSON: ${text.slice(0, 60)}`, { cause: error });
  }
  if (typeof value !== 'object' || value === null) throw new RangeError('a report that is no object');
  return value as Report;
}
