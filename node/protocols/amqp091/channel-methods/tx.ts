/** Methods of class tx. Source: behaviours 110 to 112. */
import { MethodId } from '../../../../proto/amqp091/methods.generated.ts';
import type { Channel } from '../channel.ts';
import { Commit } from '../commit.ts';
import { preconditionFailed } from '../method-errors.ts';
import type { Transaction } from '../transaction.ts';

export function txSelect(channel: Channel): void {
  channel.publishing.selectTransaction();
  channel.send({ name: 'tx.select-ok' });
}

/** The answer when all of it is done, and safe. */
export function txCommit(channel: Channel): void {
  const transaction = transactionOf(channel, MethodId.txCommit);
  const commit = new Commit(channel.consuming);
  channel.publishing.commitPublishes(transaction, commit);
  channel.consuming.refill();
  channel.waitFor(commit.result, MethodId.txCommit, (result) => {
    channel.publishing.endCommit();
    if (result === 'partial') throw preconditionFailed('partial tx completion', MethodId.txCommit);
    channel.send({ name: 'tx.commit-ok' });
  });
}

export function txRollback(channel: Channel): void {
  const { settles } = transactionOf(channel, MethodId.txRollback).take();
  channel.consuming.restore(settles.map(({ entry }) => entry));
  channel.send({ name: 'tx.rollback-ok' });
}

function transactionOf(channel: Channel, methodId: number): Transaction {
  const { transaction } = channel.publishing;
  if (transaction === null) throw preconditionFailed('channel is not transactional', methodId);
  return transaction;
}
