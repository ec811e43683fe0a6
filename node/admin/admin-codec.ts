/**
 * The messages of admin.proto as protobufjs reads and writes them, and the
 * gRPC descriptions made of them by hand (no proto-loader).
 *
 * In: the .proto file that is shipped beside the code. Out: one description
 * per method, used by the server and by warrenctl.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import type { Cell } from './operations.ts';

/** A decoded message: fields by their lower camel case name, defaults filled in. */
export type Fields = Readonly<Record<string, unknown>>;

/** What grpc-js wants to know of a method. */
export interface AdminMethodDefinition {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (fields: Fields) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Fields;
  readonly responseSerialize: (fields: Fields) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Fields;
}

const serviceName = 'warren.admin.v1.Admin';

/** Every method of the service by name, read from the file at the first call of each caller. */
export function loadAdminMethods(): ReadonlyMap<string, AdminMethodDefinition> {
  const source = readFileSync(new URL('../../proto/peer/admin.proto', import.meta.url), 'utf8');
  const root = protobuf.parse(source).root;
  const service = root.lookupService(serviceName);
  const methods = new Map<string, AdminMethodDefinition>();
  for (const method of service.methodsArray) {
    const request = service.lookupType(method.requestType);
    const response = service.lookupType(method.responseType);
    methods.set(method.name, {
      path: `/${serviceName}/${method.name}`,
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
      requestSerialize: encoder(request),
      requestDeserialize: decoder(request),
      responseSerialize: encoder(response),
      responseDeserialize: decoder(response),
    });
  }
  return methods;
}

function encoder(type: protobuf.Type): (fields: Fields) => Buffer {
  return (fields) => {
    const bytes = type.encode(type.fromObject({ ...fields })).finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function decoder(type: protobuf.Type): (bytes: Buffer) => Fields {
  return (bytes) => type.toObject(type.decode(bytes), { longs: Number, defaults: true, arrays: true });
}

export function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
}

export function numberOf(fields: Fields, name: string): number {
  const value = fields[name];
  return typeof value === 'number' ? value : 0;
}

export function flagOf(fields: Fields, name: string): boolean {
  return fields[name] === true;
}

export function bytesOf(fields: Fields, name: string): Buffer {
  const value = fields[name];
  return value instanceof Uint8Array ? Buffer.from(value) : Buffer.alloc(0);
}

export function textsOf(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

export function messagesOf(fields: Fields, name: string): readonly Fields[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'object' && item !== null) : [];
}

export function cellToMessage(cell: Cell): Fields {
  if (cell === null) return {};
  if (typeof cell === 'string') return { text: cell };
  if (typeof cell === 'number') return { number: cell };
  if (typeof cell === 'boolean') return { flag: cell };
  return { json: JSON.stringify(cell) };
}

export function cellFromMessage(fields: Fields): Cell {
  const { text, number, flag, json } = fields;
  if (typeof text === 'string') return text;
  if (typeof number === 'number') return number;
  if (typeof flag === 'boolean') return flag;
  return typeof json === 'string' ? JSON.parse(json) : null;
}
