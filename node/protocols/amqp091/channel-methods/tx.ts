/** Methods of class tx. Source: behaviours 110 to 112. */
import { MethodId } from '../../../../proto/amqp091/methods.generated.ts';
import type { Channel } from '../channel.ts';
import { Commit } from '../commit.ts';
import { preconditionFailed } from '../method-errors.ts';

export function txSelect(channel: Channel): void {
  channel.publishing.selectTransaction();
  channel.send({ name: 'tx.select-ok' });
}

/** Everything in one turn; the answer when all of it is safe. */
export function txCommit(channel: Channel): void {
  checkTransactional(channel, MethodId.txCommit);
  const commit = new Commit(channel.consuming);
  channel.publishing.commitPublishes(commit);
  channel.consuming.refill();
  channel.waitFor(commit.result, MethodId.txCommit, (result) => {
    channel.publishing.endCommit();
    if (result === 'partial') throw preconditionFailed('partial tx completion', MethodId.txCommit);
    channel.send({ name: 'tx.commit-ok' });
  });
}

export function txRollback(channel: Channel): void {
  checkTransactional(channel, MethodId.txRollback);
  const { settles } = channel.publishing.transaction.take();
  channel.consuming.restore(settles.map(({ entry }) => entry));
  channel.send({ name: 'tx.rollback-ok' });
}

function checkTransactional(channel: Channel, methodId: number): void {
  if (channel.publishing.mode !== 'tx') throw preconditionFailed('channel is not transactional', methodId);
}
