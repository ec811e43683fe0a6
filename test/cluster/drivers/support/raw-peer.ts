/**
 * A peer that says what a test wants: the two streams and the messages of a
 * handshake by hand, with or without the cookie.
 */
import { randomBytes } from 'node:crypto';
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import {
  BULK_PATH,
  CONTROL_PATH,
  clusterService,
  LinkCodec,
  type LinkMessage,
  type PeerCard,
  passThrough,
} from '../../../../cluster/drivers/peer/link-codec.ts';
import { deriveKey, makeProof } from '../../../../cluster/drivers/peer-auth.ts';

export const codec = new LinkCodec();

/** The smallest id: it chooses the link. */
export function cardOf(changes: Partial<PeerCard> = {}): PeerCard {
  return {
    nodeId: '0'.repeat(32),
    name: 'rabbit@raw',
    incarnation: 1,
    processId: '11'.repeat(16),
    version: '1.2.3',
    protocolMin: 1,
    protocolMax: 1,
    clusterId: null,
    kind: 'disc',
    port: 0,
    ...changes,
  };
}

/** One stream, messages kept until they are asked for. */
export class RawStream {
  readonly call: ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;
  private readonly inbox: Buffer[] = [];
  private readonly waiting: ((bytes: Buffer | null) => void)[] = [];
  private isClosed = false;
  readonly closed: Promise<string>;

  constructor(call: ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>) {
    this.call = call;
    call.on('data', (bytes: Buffer) => {
      const waiter = this.waiting.shift();
      if (waiter === undefined) this.inbox.push(bytes);
      else waiter(bytes);
    });
    this.closed = new Promise((resolve) => {
      const end = (error?: Error): void => {
        this.isClosed = true;
        for (const waiter of this.waiting) waiter(null);
        resolve(error?.message ?? '');
      };
      call.on('error', end);
      call.on('end', () => end());
      call.on('cancelled', () => end());
    });
  }

  write(bytes: Buffer): void {
    this.call.write(bytes);
  }

  say(message: LinkMessage): void {
    this.write(codec.encode(message));
  }

  /** Null when the stream is over. */
  nextBytes(): Promise<Buffer | null> {
    const bytes = this.inbox.shift();
    if (bytes !== undefined) return Promise.resolve(bytes);
    if (this.isClosed) return Promise.resolve(null);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** The next step that is no sign of life. */
  async next(): Promise<LinkMessage | null> {
    for (;;) {
      const bytes = await this.nextBytes();
      if (bytes === null) return null;
      const message = codec.decode(bytes);
      if (message.step !== 'alive') return message;
    }
  }
}

/** What one handshake of a dialer said, for those who listen in. */
export interface Recorded {
  readonly hello: Buffer;
  readonly proof: Buffer;
}

export class RawDialer {
  readonly control: RawStream;
  readonly bulk: RawStream;
  private readonly clients: Client[] = [];

  constructor(port: number) {
    this.control = this.open(port, CONTROL_PATH);
    this.bulk = this.open(port, BULK_PATH);
  }

  /** Both handshakes, then ready; where `card` has the smaller id also the adoption. */
  async link(cookie: string, card = cardOf()): Promise<void> {
    const linkToken = randomBytes(16).toString('hex');
    await this.shake(this.control, cookie, { card, linkToken, isBulk: false });
    await this.shake(this.bulk, cookie, { card, linkToken, isBulk: true });
    this.control.say({ step: 'ready' });
    this.control.say({ step: 'adopt' });
  }

  /** @throws Error with what the listener said instead of its welcome */
  async shake(
    stream: RawStream,
    cookie: string,
    link: { readonly card: PeerCard; readonly linkToken: string; readonly isBulk: boolean },
  ): Promise<Recorded> {
    const nonce = randomBytes(32);
    const { card: identity, linkToken, isBulk } = link;
    const hello = codec.encode({ step: 'hello', nonce, identity, linkToken, isBulk });
    stream.write(hello);
    const challenge = await stream.nextBytes();
    const message = challenge === null ? null : codec.decode(challenge);
    if (challenge === null || message?.step !== 'challenge') throw new Error(textOf(message));
    const proof = codec.encode({
      step: 'proof',
      proof: makeProof(deriveKey(cookie), 'client', {
        clientNonce: nonce,
        serverNonce: message.nonce,
        clientName: hello.toString('base64'),
        serverName: challenge.toString('base64'),
      }),
    });
    stream.write(proof);
    const welcome = await stream.next();
    if (welcome?.step !== 'welcome') throw new Error(textOf(welcome));
    return { hello, proof };
  }

  close(): void {
    for (const client of this.clients) client.close();
    for (const { call } of [this.control, this.bulk]) if ('cancel' in call) call.cancel();
  }

  private open(port: number, path: string): RawStream {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_send_message_length': -1,
    });
    this.clients.push(client);
    return new RawStream(client.makeBidiStreamRequest(path, passThrough, passThrough));
  }
}

/** Takes streams and leaves the rest to the test. */
export async function rawListener(onControl: (stream: RawStream) => void) {
  const server = new Server();
  server.addService(clusterService, {
    Control: (call: ServerDuplexStream<Buffer, Buffer>) => onControl(new RawStream(call)),
    Bulk: (call: ServerDuplexStream<Buffer, Buffer>) => void new RawStream(call),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return { port, stop: () => server.forceShutdown() };
}

export function textOf(message: LinkMessage | null): string {
  if (message === null) return 'the stream is over';
  return message.step === 'farewell' ? `${message.reason}: ${message.text}` : message.step;
}
