/**
 * Which of the candidates between two nodes is their link. Both may dial at
 * once, and either may have lost a link that the other still believes in; the
 * node with the smaller id chooses, so that they never choose differently.
 *
 *   no link           -> adopt the candidate
 *   there is a link   -> ask, on the candidate, whether the other end holds it too
 *                        yes: the candidate is one too many;  no: it replaces the link
 *
 * A link whose adoption is still under way, on another connection than the
 * question, counts as held. A link that is replaced ends first (rule 22).
 */
import type { PeerLink } from '../peer-link.ts';
import type { LinkMessage } from './link-codec.ts';

export interface AdoptionHost {
  readonly ownNodeId: string;
  linkWith(nodeId: string): PeerLink | null;
  /** Whether it is among the candidates, and not over. */
  isCandidate(nodeId: string, linkToken: string): boolean;
  /** Ends the link there is and takes `link` up in its place. */
  takeUp(link: PeerLink): void;
}

export class Adoption {
  private readonly host: AdoptionHost;

  constructor(host: AdoptionHost) {
    this.host = host;
  }

  /** Both ends have accepted each other on this candidate. */
  consider(link: PeerLink): void {
    if (!this.isOurs(link)) return;
    const current = this.host.linkWith(link.card.nodeId);
    if (current === null) this.adopt(link);
    else this.ask(link, current.token);
  }

  /** @throws RangeError for a step that is not the other end's to make */
  onStep(link: PeerLink, message: LinkMessage): void {
    const isOurs = this.isOurs(link);
    if (link.isUp) throw new RangeError(`the step ${message.step} on a link that is up`);
    if (message.step === 'ready' && !link.isDialed) this.consider(link);
    else if (message.step === 'held' && isOurs && link.askedToken !== '') this.onHeld(link, message.isHeld);
    else if (message.step === 'adopt' && !isOurs) this.host.takeUp(link);
    else if (message.step === 'holds' && !isOurs) this.answer(link, message.linkToken);
    else throw new RangeError(`the step ${message.step}, which is not that node's to make`);
  }

  private ask(link: PeerLink, linkToken: string): void {
    link.askedToken = linkToken;
    link.sendStep({ step: 'holds', linkToken });
  }

  private answer(link: PeerLink, linkToken: string): void {
    const { nodeId } = link.card;
    const isUp = this.host.linkWith(nodeId)?.token === linkToken;
    link.sendStep({ step: 'held', isHeld: isUp || this.host.isCandidate(nodeId, linkToken) });
  }

  private onHeld(link: PeerLink, isHeld: boolean): void {
    const current = this.host.linkWith(link.card.nodeId);
    if (current === null) this.adopt(link);
    else if (current.token !== link.askedToken) this.ask(link, current.token);
    else if (isHeld) link.end('duplicate', `there is a link with ${link.card.name} already`);
    else this.adopt(link);
  }

  private adopt(link: PeerLink): void {
    link.sendStep({ step: 'adopt' });
    this.host.takeUp(link);
  }

  private isOurs(link: PeerLink): boolean {
    return this.host.ownNodeId < link.card.nodeId;
  }
}
