/**
 * The first four messages of a stream: both ends show that they know the
 * cookie, which never travels, and who they are.
 *
 *   dialer -> listener   hello      |  The dialer proves itself first: a listener computes nothing with the
 *   listener -> dialer   challenge  |  cookie for somebody who merely reached the port.
 *   dialer -> listener   proof      |
 *   listener -> dialer   welcome    v
 *
 * The proofs (peer-auth.ts) are over a label, both nonces and every byte of the
 * hello and of the challenge: nothing either said of itself, its protocol
 * versions included, can be changed on the way, sent back to its maker or
 * replayed. Each end refuses with a farewell that says why.
 *
 * Knows no timers: whoever opened the stream ends it when this takes too long.
 *
 * Source: docs/replication.md, "Membership and the cookie"; ISO 9798-4.
 */
import { type Challenge, isProofOf, makeProof, NONCE_BYTES } from '../peer-auth.ts';
import type { LinkCodec, LinkMessage, PeerCard } from './link-codec.ts';
import { farewellOf, malformed, type Refusal, refusalBeforeProof, wrongCookie } from './refusals.ts';
import type { PeerStream, StreamSink } from './stream.ts';

/** Both are drawn at random: the one for each link, the other for each process. */
export const LINK_TOKEN_BYTES = 16;
export const PROCESS_ID_BYTES = 16;

export interface HandshakeContext {
  readonly codec: LinkCodec;
  /** Of `deriveKey`. */
  readonly key: Uint8Array;
  random(count: number): Buffer;
  ownCard(): PeerCard;
  /** What speaks against a node that has proved that it knows the cookie; null: nothing. */
  judge(own: PeerCard, other: PeerCard): Refusal | null;
}

/** Who the two are, and which link the stream belongs to. */
export interface PassedHandshake {
  readonly stream: PeerStream;
  readonly card: PeerCard;
  /** As shown in this handshake. */
  readonly own: PeerCard;
  readonly linkToken: string;
  readonly isBulk: boolean;
}

export interface HandshakeListener {
  /** The stream is paused, and must be listened to. */
  onPassed(passed: PassedHandshake): void;
  /**
   * At most once, also after `onPassed` as long as nobody else listens to the stream, which is over.
   *
   * @param card what the other end said of itself, proved or not; null: nothing yet
   */
  onRefused(refusal: Refusal, card: PeerCard | null, isByUs: boolean): void;
}

abstract class Handshake implements StreamSink {
  protected readonly stream: PeerStream;
  protected readonly context: HandshakeContext;
  protected readonly own: PeerCard;
  private readonly listener: HandshakeListener;
  protected card: PeerCard | null = null;
  private isOver = false;

  constructor(stream: PeerStream, context: HandshakeContext, listener: HandshakeListener) {
    this.stream = stream;
    this.context = context;
    this.listener = listener;
    this.own = context.ownCard();
  }

  protected abstract next(message: LinkMessage, bytes: Buffer): void;

  onMessage(bytes: Buffer): void {
    if (this.isOver) return;
    let message: LinkMessage;
    try {
      message = this.context.codec.decode(bytes);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // a fault of the other end, all else is a bug
      this.refuse(malformed(this.own.name, error));
      return;
    }
    if (message.step !== 'farewell') {
      this.next(message, bytes);
      return;
    }
    this.stream.destroy();
    this.over({ reason: message.reason, text: message.text }, false);
  }

  onClosed(reason: string): void {
    this.over({ reason: 'closed', text: reason === '' ? 'closed by the other end' : reason }, false);
  }

  refuse(refusal: Refusal): void {
    if (this.isOver) return;
    this.stream.finish(this.context.codec.encode(farewellOf(refusal)));
    this.over(refusal, true);
  }

  protected unexpected(message: LinkMessage): void {
    this.refuse(malformed(this.own.name, new RangeError(`the step ${message.step}, which is not the next one`)));
  }

  protected passed(card: PeerCard, linkToken: string, isBulk: boolean): void {
    this.stream.pause();
    this.listener.onPassed({ stream: this.stream, card, own: this.own, linkToken, isBulk });
  }

  private over(refusal: Refusal, isByUs: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.listener.onRefused(refusal, this.card, isByUs);
  }
}

type Step<S extends LinkMessage['step']> = Extract<LinkMessage, { step: S }>;

export class ListenerHandshake extends Handshake {
  private readonly isBulk: boolean;
  private asked: { readonly hello: Step<'hello'>; readonly challenge: Challenge } | null = null;
  private isDone = false;

  constructor(stream: PeerStream, isBulk: boolean, context: HandshakeContext, listener: HandshakeListener) {
    super(stream, context, listener);
    this.isBulk = isBulk;
    stream.listen(this);
  }

  protected next(message: LinkMessage, bytes: Buffer): void {
    if (message.step === 'hello' && this.asked === null && message.isBulk === this.isBulk) this.answer(message, bytes);
    else if (message.step === 'proof' && this.asked !== null && !this.isDone) this.welcome(message.proof);
    else this.unexpected(message);
  }

  private answer(hello: Step<'hello'>, helloBytes: Buffer): void {
    this.card = hello.identity;
    const refusal = refusalBeforeProof(this.own, hello.identity);
    if (refusal !== null) {
      this.refuse(refusal);
      return;
    }
    const nonce = this.context.random(NONCE_BYTES);
    const bytes = this.context.codec.encode({ step: 'challenge', nonce, identity: this.own });
    this.asked = { hello, challenge: challengeOf(hello.nonce, helloBytes, nonce, bytes) };
    this.stream.write(bytes);
  }

  private welcome(proof: Buffer): void {
    const { hello, challenge } = this.asked!;
    if (!isProofOf(this.context.key, 'client', challenge, proof)) {
      this.refuse(wrongCookie(this.own, hello.identity));
      return;
    }
    const refusal = this.context.judge(this.own, hello.identity);
    if (refusal !== null) {
      this.refuse(refusal);
      return;
    }
    this.isDone = true;
    const welcome = makeProof(this.context.key, 'server', challenge);
    this.stream.write(this.context.codec.encode({ step: 'welcome', proof: welcome }));
    this.passed(hello.identity, hello.linkToken, hello.isBulk);
  }
}

export class DialerHandshake extends Handshake {
  private readonly hello: Step<'hello'>;
  private readonly helloBytes: Buffer;
  private challenge: Challenge | null = null;
  private isDone = false;

  constructor(
    stream: PeerStream,
    link: { readonly linkToken: string; readonly isBulk: boolean },
    context: HandshakeContext,
    listener: HandshakeListener,
  ) {
    super(stream, context, listener);
    this.hello = { step: 'hello', nonce: context.random(NONCE_BYTES), identity: this.own, ...link };
    this.helloBytes = context.codec.encode(this.hello);
    stream.listen(this);
    stream.write(this.helloBytes);
  }

  protected next(message: LinkMessage, bytes: Buffer): void {
    if (message.step === 'challenge' && this.challenge === null) this.prove(message, bytes);
    else if (message.step === 'welcome' && this.challenge !== null && !this.isDone) this.check(message.proof);
    else this.unexpected(message);
  }

  private prove(message: Step<'challenge'>, bytes: Buffer): void {
    this.card = message.identity;
    const refusal = refusalBeforeProof(this.own, message.identity);
    if (refusal !== null) {
      this.refuse(refusal);
      return;
    }
    this.challenge = challengeOf(this.hello.nonce, this.helloBytes, message.nonce, bytes);
    const proof = makeProof(this.context.key, 'client', this.challenge);
    this.stream.write(this.context.codec.encode({ step: 'proof', proof }));
  }

  private check(proof: Buffer): void {
    const card = this.card!;
    if (!isProofOf(this.context.key, 'server', this.challenge!, proof)) {
      this.refuse(wrongCookie(this.own, card));
      return;
    }
    const refusal = this.context.judge(this.own, card);
    if (refusal !== null) {
      this.refuse(refusal);
      return;
    }
    this.isDone = true;
    this.passed(card, this.hello.linkToken, this.hello.isBulk);
  }
}

/** The whole messages stand in the place of the names. */
function challengeOf(clientNonce: Buffer, hello: Buffer, serverNonce: Buffer, challenge: Buffer): Challenge {
  return {
    clientNonce,
    serverNonce,
    clientName: hello.toString('base64'),
    serverName: challenge.toString('base64'),
  };
}
