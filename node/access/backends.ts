/**
 * Authentication backends: who answers for a name and a password. The table
 * below is the registry; nothing else names them.
 */
import type { MetadataView } from '../../cluster/metadata-client.ts';
import type { AuthResult } from './access.ts';
import { compareWithNobody, isPasswordOf } from './password-hash.ts';

export interface AuthenticationBackend {
  /** Never throws for a wrong login: `refused` says why, for the log. */
  authenticate(user: string, password: string): Promise<AuthResult>;
}

/** By the name it has in the configuration (auth_backends.1 = internal). */
export const authenticationBackends: ReadonlyMap<string, (view: MetadataView) => AuthenticationBackend> = new Map([
  ['internal', (view: MetadataView) => new InternalUsers(view)],
]);

/** The users of the metadata. */
class InternalUsers implements AuthenticationBackend {
  private readonly view: MetadataView;

  constructor(view: MetadataView) {
    this.view = view;
  }

  async authenticate(user: string, password: string): Promise<AuthResult> {
    const definition = this.view.get('users', user);
    if (definition === null) {
      compareWithNobody(password);
      return { type: 'refused', reason: `user '${user}' does not exist` };
    }
    if (!isPasswordOf(password, definition.passwordHash, definition.hashingAlgorithm)) {
      return { type: 'refused', reason: `user '${user}': ${whyNot(password, definition.passwordHash)}` };
    }
    return { type: 'accepted', user: definition.name, tags: definition.tags };
  }
}

function whyNot(password: string, passwordHash: string): string {
  if (passwordHash === '') return 'has no password and cannot log in with one';
  return password === '' ? 'no password was given' : 'wrong password';
}
