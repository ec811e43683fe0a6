/**
 * Variables in topic permissions: {username}, {vhost} and {client_id} are
 * replaced by texts that match themselves and nothing else, wherever in the
 * pattern they stand: a client id of `.*` or a user `a-z` within [...] opens
 * nothing.
 *
 * Source: RabbitMQ's topic authorisation; the escaping is stricter than its own.
 */
export interface TopicVariables {
  readonly username: string;
  readonly vhost: string;
  /** Null: there is none, the variable stays as it is written. */
  readonly clientId: string | null;
}

export function expandVariables(pattern: string, variables: TopicVariables): string {
  return pattern.replace(/\{(username|vhost|client_id)\}/g, (written, name: string) => {
    if (name === 'username') return literal(variables.username);
    if (name === 'vhost') return literal(variables.vhost);
    return variables.clientId === null ? written : literal(variables.clientId);
  });
}

/**
 * Bytes as \x{..}, which means that byte inside and outside of brackets. The
 * first always: a digit may not become part of an escape before it.
 */
function literal(text: string): string {
  let escaped = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const isPlain = escaped !== '' && ((byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a));
    escaped += isPlain ? String.fromCharCode(byte) : `\\x{${byte.toString(16)}}`;
  }
  return escaped;
}
