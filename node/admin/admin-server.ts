/**
 * Serves the admin service over gRPC: one listener, loopback unless told
 * otherwise, a token checked before every method that is not open, refusals
 * turned into status codes, lists sent in pages with back-pressure.
 *
 * Loaded only when an admin listener is wanted: grpc-js costs start-up time.
 */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { invariant } from '../../proto/base/invariant.ts';
import type { Log } from '../log.ts';
import type { AdminAuth } from './admin-auth.ts';
import { type AdminMethodDefinition, bytesOf, cellToMessage, type Fields, loadAdminMethods } from './admin-codec.ts';
import { type AdminMethod, AuthenticationFailed, adminMethods } from './admin-service.ts';
import { type AdminOperations, AdminRefusal, type Table } from './operations.ts';

export const tokenKey = 'warren-token';
export const refusalKey = 'warren-refusal';

const rowsPerPage = 200;
const definitionsBytesMax = 64 * 1024 * 1024;
const definitionsPartBytes = 256 * 1024;
const messageBytesMax = 4 * 1024 * 1024;
const stopTimeoutMs = 2000;

export interface AdminServerOptions {
  readonly host: string;
  /** Tried in this order; a free one (0) at the end when `isStrict` is false. */
  readonly port: number;
  /** The port was set by somebody: one that is taken is an error. */
  readonly isStrict: boolean;
}

interface Context {
  readonly auth: AdminAuth;
  readonly operations: AdminOperations;
  readonly log: Log;
}

interface Failure {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

export class AdminServer {
  private readonly server: Server;
  readonly port: number;

  private constructor(server: Server, port: number) {
    this.server = server;
    this.port = port;
  }

  /** @throws Error when a port that was set is taken. */
  static async start(
    options: AdminServerOptions,
    auth: AdminAuth,
    operations: AdminOperations,
    log: Log,
  ): Promise<AdminServer> {
    const context = { auth, operations, log };
    const server = newServer(context);
    try {
      return new AdminServer(server, await bind(server, options.host, options.port));
    } catch (error) {
      if (options.isStrict || options.port === 0) throw error;
      // A fault that has another way: nobody asked for this very port.
      log.info(`admin port ${options.port} is taken, using a free one`);
    }
    const another = newServer(context);
    return new AdminServer(another, await bind(another, options.host, 0));
  }

  /** Ends what is under way after a short while. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.server.forceShutdown();
        resolve();
      }, stopTimeoutMs);
      this.server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** AMQP port + 20000 where that is a valid port, else any free one. */
export function usualAdminPort(amqpPort: number | null): number {
  const port = (amqpPort ?? 0) + 20_000;
  return amqpPort !== null && amqpPort !== 0 && port <= 65_535 ? port : 0;
}

function newServer(context: Context): Server {
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_connection_age_ms': 3_600_000,
    'grpc.max_concurrent_streams': 100,
  });
  const definitions = loadAdminMethods();
  const handlers: Record<string, UntypedHandleCall> = {};
  for (const name of definitions.keys()) {
    const method = adminMethods[name];
    invariant(method !== undefined, `admin.proto has a method ${name} that the service does not serve`);
    handlers[name] = handlerOf(method, context);
  }
  server.addService(serviceDefinition(definitions), handlers);
  return server;
}

/** grpc-js wants an object of mutable descriptions. */
function serviceDefinition(
  definitions: ReadonlyMap<string, AdminMethodDefinition>,
): Record<string, AdminMethodDefinition> {
  return Object.fromEntries(definitions);
}

function bind(server: Server, host: string, port: number): Promise<number> {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

function handlerOf(method: AdminMethod, context: Context): UntypedHandleCall {
  switch (method.kind) {
    case 'open':
      return (call: ServerUnaryCall<Fields, Fields>, callback: sendUnaryData<Fields>) => {
        answer(callback, context.log, () => method.handle(context.auth, call.getPeer(), call.request));
      };
    case 'unary':
      return (call: ServerUnaryCall<Fields, Fields>, callback: sendUnaryData<Fields>) => {
        answer(callback, context.log, () => {
          authorize(call, context.auth);
          return method.handle(context.operations, call.request);
        });
      };
    case 'table':
      return (call: ServerWritableStream<Fields, Fields>) => {
        void stream(call, context, () => pagesOf(method.handle(context.operations, call.request)));
      };
    case 'export':
      return (call: ServerWritableStream<Fields, Fields>) => {
        void stream(call, context, () => partsOf(method.handle(context.operations)));
      };
    case 'import':
      return (call: ImportCall, callback: sendUnaryData<Fields>) => {
        answer(callback, context.log, async () => {
          authorize(call, context.auth);
          return method.handle(context.operations, await collect(call));
        });
      };
  }
}

interface Caller {
  readonly metadata: Metadata;
  getPeer(): string;
}

interface ImportCall extends Caller, AsyncIterable<Fields> {}

class Unauthenticated extends Error {}

/** @throws Unauthenticated */
function authorize(call: Caller, auth: AdminAuth): void {
  const token = call.metadata.get(tokenKey)[0];
  if (typeof token !== 'string' || !auth.isValid(call.getPeer(), token)) {
    throw new Unauthenticated('authenticate first: this call has no token that is valid for this connection');
  }
}

function answer(callback: sendUnaryData<Fields>, log: Log, run: () => Promise<Fields> | Fields): void {
  const settle = async (): Promise<Fields> => run();
  settle().then(
    (reply) => callback(null, reply),
    (error: unknown) => callback(failureOf(error, log)),
  );
}

async function stream(
  call: ServerWritableStream<Fields, Fields>,
  context: Context,
  open: () => Iterable<Fields> | AsyncIterable<Fields>,
): Promise<void> {
  try {
    authorize(call, context.auth);
    for await (const part of open()) {
      if (call.cancelled) return;
      if (!call.write(part)) await drained(call);
      await new Promise<void>((resolve) => setImmediate(resolve)); // messages go first
    }
    call.end();
  } catch (error) {
    call.emit('error', failureOf(error, context.log));
  }
}

/** Resolves when more may be written, or never needs to be: the client is gone. */
function drained(call: ServerWritableStream<Fields, Fields>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'cancelled', 'close', 'error']) call.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'cancelled', 'close', 'error']) call.once(event, done);
  });
}

async function* pagesOf(table: Table): AsyncGenerator<Fields> {
  let rows: Fields[] = [];
  let columns: readonly string[] = table.columns;
  for await (const row of table.rows) {
    rows.push({ cells: row.map(cellToMessage) });
    if (rows.length < rowsPerPage) continue;
    yield { columns, rows };
    rows = [];
    columns = [];
  }
  const { notes } = table;
  if (rows.length > 0 || columns.length > 0 || notes.length > 0) yield { columns, rows, notes };
}

function* partsOf(json: string): Generator<Fields> {
  const bytes = Buffer.from(json);
  for (let at = 0; at < bytes.length; at += definitionsPartBytes) {
    yield { json: bytes.subarray(at, at + definitionsPartBytes) };
  }
}

async function collect(call: ImportCall): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const fields of call) {
    const part = bytesOf(fields, 'json');
    length += part.length;
    if (length > definitionsBytesMax) {
      throw new AdminRefusal('bad-definitions', `the file is larger than ${definitionsBytesMax} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

const codeByKind: Readonly<Record<AdminRefusal['kind'], status>> = {
  'no-user': status.NOT_FOUND,
  'no-vhost': status.NOT_FOUND,
  'no-parameter': status.NOT_FOUND,
  'bad-policy': status.INVALID_ARGUMENT,
  'no-queue': status.NOT_FOUND,
  'no-node': status.NOT_FOUND,
  'node-running': status.FAILED_PRECONDITION,
  exists: status.ALREADY_EXISTS,
  'in-use': status.FAILED_PRECONDITION,
  'not-empty': status.FAILED_PRECONDITION,
  invalid: status.INVALID_ARGUMENT,
  'bad-columns': status.INVALID_ARGUMENT,
  'bad-definitions': status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
};

/** Refusals keep their words; a bug is told to the log, the client learns only that there was one. */
function failureOf(error: unknown, log: Log): Failure {
  const metadata = new Metadata();
  if (error instanceof Unauthenticated || error instanceof AuthenticationFailed) {
    return { code: status.UNAUTHENTICATED, details: error.message, metadata };
  }
  if (error instanceof AdminRefusal) {
    metadata.set(refusalKey, error.kind);
    return { code: codeByKind[error.kind], details: error.message, metadata };
  }
  log.error('the admin service failed', { error });
  return { code: status.INTERNAL, details: 'the node failed at this, see its log', metadata };
}
