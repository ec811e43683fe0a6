/**
 * Makes the raft port loadable without the rest of its package: the port needs
 * one constant of a file that pulls in a whole messaging framework, so that
 * file is put into the module cache before anything asks for it.
 *
 * Must be imported before the port. The bundle of `dist` replaces the same file
 * at build time and does not contain this one.
 */
import { createRequire, Module } from 'node:module';

const require = createRequire(import.meta.url);
const id = require.resolve('@coaty/consensus.raft/non-ported/raft-controller.js');
if (require.cache[id] === undefined) {
  const stub = new Module(id);
  stub.filename = id;
  stub.loaded = true;
  stub.exports = { emptyRaftData: null };
  require.cache[id] = stub;
}
