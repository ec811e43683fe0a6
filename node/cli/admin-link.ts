/**
 * The client's side of the admin service: what commands call, in no
 * transport's words, so that they are tested without one.
 */
import type { Fields } from '../admin/admin-codec.ts';
import type { AdminRefusalKind } from '../admin/operations.ts';

export interface AdminLink {
  call(method: string, request: Fields): Promise<Fields>;
  /** Server-streamed messages, in order. */
  stream(method: string, request: Fields): AsyncIterable<Fields>;
  /** Client-streamed messages. */
  send(method: string, requests: Iterable<Fields>): Promise<Fields>;
  close(): void;
}

/** The node declined: its kind and words. */
export class NodeRefusal extends Error {
  readonly kind: AdminRefusalKind;

  constructor(kind: AdminRefusalKind, text: string) {
    super(text);
    this.name = 'NodeRefusal';
    this.kind = kind;
  }
}

export type LinkFaultKind = 'unreachable' | 'wrong-cookie' | 'timeout' | 'failed';

/** The node was not reached, or did not answer as it should. */
export class LinkFault extends Error {
  readonly kind: LinkFaultKind;

  constructor(kind: LinkFaultKind, text: string) {
    super(text);
    this.name = 'LinkFault';
    this.kind = kind;
  }
}
