/**
 * Settings of users: what the first start creates, who may come from where,
 * how passwords are kept. Declarations only.
 */
import { family, scalar } from './setting.ts';
import { boolean, filledText, oneOf, text } from './values.ts';

export interface DefaultPermissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

const noNames: readonly string[] = [];
const allPermissions: DefaultPermissions = { configure: '.*', write: '.*', read: '.*' };

export const userSettings = {
  defaultUser: scalar({
    key: 'default_user',
    type: filledText,
    default: 'guest',
    environment: 'RABBITMQ_DEFAULT_USER',
    doc: 'Created at the first start of an empty data directory.',
  }),
  defaultPass: scalar({
    key: 'default_pass',
    type: text,
    default: 'guest',
    environment: 'RABBITMQ_DEFAULT_PASS',
    isSecret: true,
    doc: "The default user's password.",
  }),
  defaultVhost: scalar({
    key: 'default_vhost',
    type: filledText,
    default: '/',
    environment: 'RABBITMQ_DEFAULT_VHOST',
    doc: 'Created at the first start.',
  }),
  defaultUserTags: family<readonly string[]>({
    key: 'default_user_tags.*',
    prefix: 'default_user_tags',
    suffixes: null,
    empty: noNames,
    default: ['administrator'],
    defaultText: 'administrator',
    expected: '`default_user_tags.TAG = true` or false',
    doc: 'Tags of the default user: `default_user_tags.monitoring = true`.',
    add: addFlag,
  }),
  defaultPermissions: family<DefaultPermissions>({
    key: 'default_permissions.*',
    prefix: 'default_permissions',
    suffixes: ['configure', 'write', 'read'],
    empty: allPermissions,
    default: allPermissions,
    defaultText: '.* for configure, write and read',
    expected: 'a regular expression',
    doc: "The default user's permissions in the default vhost.",
    add: (permissions, suffix, pattern) => ({ ...permissions, [suffix]: pattern }),
  }),
  loopbackUsers: family<readonly string[]>({
    key: 'loopback_users.*',
    prefix: 'loopback_users',
    suffixes: null,
    empty: noNames,
    default: ['guest'],
    defaultText: 'guest',
    expected: '`loopback_users.NAME = true` or false, or `loopback_users = none`',
    doc: 'Users who may log in from this machine only. `loopback_users = none` lifts it for all.',
    add: (names, suffix, value) => {
      if (suffix === '') return value === 'none' ? noNames : null;
      return addFlag(names, suffix, value);
    },
  }),
  passwordHashing: scalar({
    key: 'password_hashing_module',
    type: oneOf('rabbit_password_hashing_sha256', 'rabbit_password_hashing_sha512', 'rabbit_password_hashing_md5'),
    default: 'rabbit_password_hashing_sha256',
    doc: 'How new passwords are kept. Imported ones keep their own.',
  }),
};

function addFlag(names: readonly string[], name: string, value: string): readonly string[] | null {
  const isSet = boolean.parse(value);
  if (isSet === null || name === '') return null;
  const others = names.filter((other) => other !== name);
  return isSet ? [...others, name] : others;
}
