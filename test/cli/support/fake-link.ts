/**
 * warrenctl's link straight into the service's table of methods: no gRPC, same
 * messages.
 */
import { cellToMessage, type Fields } from '../../../node/admin/admin-codec.ts';
import { adminMethods } from '../../../node/admin/admin-service.ts';
import { type AdminOperations, AdminRefusal } from '../../../node/admin/operations.ts';
import { type AdminLink, NodeRefusal } from '../../../node/cli/admin-link.ts';

export function createFakeLink(operations: AdminOperations): AdminLink {
  return {
    call: (method, request) =>
      translated(async () => {
        const entry = adminMethods[method];
        if (entry?.kind !== 'unary') throw new Error(`${method} is not a unary method`);
        return entry.handle(operations, withDefaults(request));
      }),
    stream: (method, request) => stream(operations, method, request),
    send: (method, requests) =>
      translated(async () => {
        const entry = adminMethods[method];
        if (entry?.kind !== 'import') throw new Error(`${method} takes no stream`);
        const parts = [...requests].map((part) => Buffer.from(part['json'] as Uint8Array)); // as the CLI makes them
        return entry.handle(operations, Buffer.concat(parts).toString());
      }),
    close: () => {},
  };
}

async function* stream(operations: AdminOperations, method: string, request: Fields): AsyncGenerator<Fields> {
  const entry = adminMethods[method];
  if (entry?.kind === 'export') yield { json: Buffer.from(entry.handle(operations)) };
  if (entry?.kind !== 'table') return;
  const table = await translated(async () => entry.handle(operations, withDefaults(request)));
  const rows: Fields[] = [];
  for await (const row of table.rows) rows.push({ cells: row.map(cellToMessage) });
  yield { columns: table.columns, rows, notes: table.notes };
}

/** An absent field arrives as its default. */
function withDefaults(request: Fields): Fields {
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
}

async function translated<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof AdminRefusal) throw new NodeRefusal(error.kind, error.message);
    throw error;
  }
}
