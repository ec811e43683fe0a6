/**
 * `AdminLink` over gRPC: connects, proves in two steps that it knows the
 * cookie (and that the node does), then calls with the token.
 */
import { randomBytes } from 'node:crypto';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { deriveKey, isProofOf, makeProof } from '../../cluster/drivers/peer-auth.ts';
import { invariant } from '../../proto/base/invariant.ts';
import { adminChallenge } from '../admin/admin-auth.ts';
import { type AdminMethodDefinition, bytesOf, type Fields, loadAdminMethods, textOf } from '../admin/admin-codec.ts';
import type { AdminRefusalKind } from '../admin/operations.ts';
import { type AdminLink, LinkFault, NodeRefusal } from './admin-link.ts';

const tokenKey = 'warren-token';
const refusalKey = 'warren-refusal';
const messageBytesMax = 64 * 1024 * 1024;

export interface GrpcLinkOptions {
  /** HOST:PORT. */
  readonly address: string;
  readonly cookie: string;
  readonly timeoutMs: number;
}

export class GrpcLink implements AdminLink {
  private readonly client: Client;
  private readonly methods: ReadonlyMap<string, AdminMethodDefinition>;
  private readonly options: GrpcLinkOptions;
  private readonly deadline: Date;
  private readonly metadata = new Metadata();

  private constructor(options: GrpcLinkOptions) {
    this.options = options;
    this.deadline = new Date(Date.now() + options.timeoutMs);
    this.methods = loadAdminMethods();
    this.client = new Client(options.address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': messageBytesMax,
      'grpc.enable_http_proxy': 0,
    });
  }

  /** @throws LinkFault unreachable, wrong-cookie */
  static async open(options: GrpcLinkOptions): Promise<GrpcLink> {
    const link = new GrpcLink(options);
    try {
      await link.connect();
      await link.authenticate();
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  call(method: string, request: Fields): Promise<Fields> {
    const definition = this.definition(method);
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        this.metadata,
        { deadline: this.deadline },
        (error, reply) => {
          if (error !== null) reject(this.faultOf(error));
          else resolve(reply ?? {});
        },
      );
    });
  }

  async *stream(method: string, request: Fields): AsyncGenerator<Fields> {
    const definition = this.definition(method);
    const call = this.client.makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      this.metadata,
      { deadline: this.deadline },
    );
    try {
      for await (const message of call) yield message;
    } catch (error) {
      throw isServiceError(error) ? this.faultOf(error) : error;
    } finally {
      call.cancel();
    }
  }

  send(method: string, requests: Iterable<Fields>): Promise<Fields> {
    const definition = this.definition(method);
    return new Promise((resolve, reject) => {
      const call = this.client.makeClientStreamRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        this.metadata,
        { deadline: this.deadline },
        (error: ServiceError | null, reply?: Fields) => {
          if (error !== null) reject(this.faultOf(error));
          else resolve(reply ?? {});
        },
      );
      for (const request of requests) call.write(request);
      call.end();
    });
  }

  close(): void {
    this.client.close();
  }

  private connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const connectBy = new Date(Math.min(this.deadline.getTime(), Date.now() + 10_000));
      let isOver = false;
      const fail = (): void => {
        if (isOver) return;
        isOver = true;
        reject(new LinkFault('unreachable', `no node answers at ${this.options.address}`));
      };
      this.client.waitForReady(connectBy, (error) => {
        if (error !== undefined) return fail();
        isOver = true;
        resolve();
      });
      this.failEarly(fail);
    });
  }

  /** A refused connection is final: nobody listens there. grpc-js would try again until the deadline. */
  private failEarly(fail: () => void): void {
    const channel = this.client.getChannel();
    const watch = (): void => {
      const state = channel.getConnectivityState(false);
      if (state === 3) fail(); // TRANSIENT_FAILURE
      if (state >= 2) return; // READY, TRANSIENT_FAILURE, SHUTDOWN
      channel.watchConnectivityState(state, this.deadline, (error) => {
        if (error === undefined) watch();
      });
    };
    watch();
  }

  private async authenticate(): Promise<void> {
    const clientNonce = randomBytes(32);
    const challenge = await this.call('Challenge', { clientNonce });
    const serverNonce = bytesOf(challenge, 'serverNonce');
    const key = deriveKey(this.options.cookie);
    const both = adminChallenge(clientNonce, serverNonce);
    if (!isProofOf(key, 'server', both, bytesOf(challenge, 'serverProof'))) {
      throw new LinkFault('wrong-cookie', `the node at ${this.options.address} has another cookie`);
    }
    const clientProof = makeProof(key, 'client', both);
    const reply = await this.call('Authenticate', { clientNonce, serverNonce, clientProof });
    this.metadata.set(tokenKey, textOf(reply, 'token'));
  }

  private definition(method: string): AdminMethodDefinition {
    const definition = this.methods.get(method);
    invariant(definition !== undefined, `admin.proto has no method ${method}`);
    return definition;
  }

  private faultOf(error: ServiceError): Error {
    const kind = error.metadata?.get(refusalKey)[0];
    if (typeof kind === 'string') return new NodeRefusal(kind as AdminRefusalKind, error.details); // our own server wrote it
    if (error.code === status.DEADLINE_EXCEEDED) {
      return new LinkFault('timeout', `operation on ${this.options.address} timed out`);
    }
    if (error.code === status.UNAUTHENTICATED) return new LinkFault('wrong-cookie', error.details);
    if (error.code === status.UNAVAILABLE)
      return new LinkFault('unreachable', `${this.options.address}: ${error.details}`);
    return new LinkFault('failed', error.details);
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}
