/**
 * `Access` over the tables of the metadata: users, permissions and topic
 * permissions. Verdicts are kept per question until users, permissions or
 * vhosts change; the node subscribes this object to the metadata.
 *
 * A pattern that takes too many steps, or that does not compile (an import may
 * hold anything), refuses, and says so to `onNote`.
 *
 * Source: RabbitMQ's access control; behaviours 9, 14, 142 to 145.
 */

import { type Change, rowKey } from '../../cluster/metadata/definitions.ts';
import type { MetadataListener, MetadataView } from '../../cluster/metadata-client.ts';
import { compilePattern, type Pattern } from '../../proto/base/pattern.ts';
import type { Access, AuthResult, PermissionKind } from './access.ts';
import { type AuthenticationBackend, authenticationBackends } from './backends.ts';
import { isLoopbackAddress } from './loopback.ts';
import { expandVariables } from './topic-variables.ts';

/** Verdicts and compiled patterns kept at a time; a full cache is emptied. Routing keys come from clients. */
const VERDICTS_MAX = 20_000;
const PATTERNS_MAX = 2_000;

export interface AccessOptions {
  /** Names of `authenticationBackends`, asked in this order until one accepts. */
  readonly backends: readonly string[];
  /** These may log in from the machine itself only. */
  readonly loopbackUsers: readonly string[];
  /** For the log: a pattern that could not be judged. */
  readonly onNote: (note: string) => void;
}

export class InternalAccess implements Access, MetadataListener {
  private readonly view: MetadataView;
  private readonly backends: readonly AuthenticationBackend[];
  private readonly loopbackUsers: ReadonlySet<string>;
  private readonly onNote: (note: string) => void;
  private readonly verdicts = new Map<string, boolean>();
  private readonly patterns = new Map<string, Pattern | null>();

  /** @throws RangeError when a backend is not in the registry. */
  constructor(view: MetadataView, options: AccessOptions) {
    this.view = view;
    this.loopbackUsers = new Set(options.loopbackUsers);
    this.onNote = options.onNote;
    this.backends = options.backends.map((name) => {
      const create = authenticationBackends.get(name);
      if (create === undefined) {
        const known = [...authenticationBackends.keys()].join(', ');
        throw new RangeError(`no authentication backend '${name}'; known: ${known}`);
      }
      return create(view);
    });
  }

  async authenticate(user: string, password: string, peerAddress: string): Promise<AuthResult> {
    let result: AuthResult = { type: 'refused', reason: `no authentication backend for user '${user}'` };
    for (const backend of this.backends) {
      result = await backend.authenticate(user, password);
      if (result.type === 'accepted') break;
    }
    // After the password, so that the time taken tells nothing; by the name the backend knows, not the one given.
    if (result.type === 'accepted' && this.loopbackUsers.has(result.user) && !isLoopbackAddress(peerAddress)) {
      return {
        type: 'refused',
        reason: `user '${result.user}' can only connect via localhost, not from ${peerAddress}`,
      };
    }
    return result;
  }

  userExists(user: string): boolean {
    return this.view.get('users', user) !== null;
  }

  mayEnterVhost(user: string, vhost: string): boolean {
    return this.view.get('permissions', rowKey(user, vhost)) !== null;
  }

  isAllowed(user: string, vhost: string, kind: PermissionKind, name: string): boolean {
    const key = rowKey(kind, user, vhost, name);
    const known = this.verdicts.get(key);
    if (known !== undefined) return known;
    const permission = this.view.get('permissions', rowKey(user, vhost));
    const place = `${kind} permission of user '${user}' in vhost '${vhost}'`;
    return this.keep(key, permission !== null && this.matches(permission[kind], name, place));
  }

  isTopicAllowed(
    user: string,
    vhost: string,
    exchange: string,
    kind: 'write' | 'read',
    routingKey: string,
    clientId: string | null = null,
  ): boolean {
    const permission = this.view.get('topicPermissions', rowKey(user, vhost, exchange));
    if (permission === null) return true;
    const key = rowKey('topic', kind, user, vhost, exchange, routingKey, clientId === null ? '' : `:${clientId}`);
    const known = this.verdicts.get(key);
    if (known !== undefined) return known;
    const pattern = expandVariables(permission[kind], { username: user, vhost, clientId });
    const place = `topic ${kind} permission of user '${user}' on exchange '${exchange}' in vhost '${vhost}'`;
    return this.keep(key, this.matches(pattern, routingKey, place));
  }

  /** Verdicts depend on nothing else. */
  onChanges(changes: readonly Change[]): void {
    for (const { table } of changes) {
      if (table === 'users' || table === 'permissions' || table === 'topicPermissions' || table === 'vhosts') {
        this.verdicts.clear();
        return;
      }
    }
  }

  /** Kept verdicts, for tests of the bound. */
  get verdictCount(): number {
    return this.verdicts.size;
  }

  private keep(key: string, verdict: boolean): boolean {
    if (this.verdicts.size >= VERDICTS_MAX) this.verdicts.clear();
    this.verdicts.set(key, verdict);
    return verdict;
  }

  private matches(text: string, subject: string, place: string): boolean {
    const pattern = this.patternOf(text, place);
    if (pattern === null) return false;
    const outcome = pattern.test(subject);
    if (outcome === 'too-complex') {
      this.onNote(`${place}: the pattern '${text}' takes too many steps on '${subject}', which counts as refused`);
    }
    return outcome === 'match';
  }

  /** The empty pattern means ^$: it allows the empty name only. Null when it does not compile. */
  private patternOf(text: string, place: string): Pattern | null {
    const known = this.patterns.get(text);
    if (known !== undefined) return known;
    const compiled = compilePattern(text === '' ? '^$' : text);
    if (compiled.type === 'error') {
      this.onNote(
        `${place}: the pattern '${text}' is invalid (${compiled.message} at ${compiled.at}) and allows nothing`,
      );
    }
    const pattern = compiled.type === 'pattern' ? compiled : null;
    if (this.patterns.size >= PATTERNS_MAX) this.patterns.clear();
    this.patterns.set(text, pattern);
    return pattern;
  }
}
