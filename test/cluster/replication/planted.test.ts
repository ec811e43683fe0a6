/**
 * The walks find a missing rule: each is left out once, in a configuration
 * where it matters, and must be missed within so many walks. Rules that chance
 * meets too rarely are in stories.test.ts; all of them, longer, with
 * `walk-main --table`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RuleName } from './model/rules.ts';
import { walk } from './model/walks.ts';

const walksMax = 4000;

const table: readonly (readonly [rule: RuleName, configuration: string])[] = [
  ['settleCommit', 'crash'],
  ['waitReg', 'crash'],
  ['regEpoch', 'crash'],
  ['settlePersist', 'crash'],
  ['ackCover', 'crash'],
  ['selfStored', 'sync-one'],
  ['union', 'sync-one'],
  ['idleHw', 'quiet'],
  ['cas', 'transient'],
  ['expandStart', 'sync'],
  ['floor', 'gone'],
  ['isrElect', 'transient-sync'],
  ['asg', 'readded'],
  ['diskId', 'wipe'],
  ['cut', 'crash'],
  ['cutEpoch', 'sync'],
  ['cutDiff', 'always-sync'],
  ['diffP', 'sync-one'],
  ['diffCut', 'always-sync'],
  ['diffAck', 'sync-one'],
  ['diffMark', 'sync-one'],
  ['diffWanted', 'sync-one'],
  ['proven', 'transient'],
  ['holes', 'transient-sync'],
  ['dropTr', 'transient-sync'],
  ['dedup', 'crash'],
  ['dedupWait', 'crash'],
  ['dedupRoll', 'crash'],
  ['resend', 'crash'],
  ['settleResend', 'crash'],
  ['msgId', 'always'],
  ['dlvEpoch', 'sync'],
  ['vacate', 'always-sync'],
  ['lease', 'alone'],
];

for (const [rule, configuration] of table) {
  test(`the walks miss the rule ${rule} when it is left out`, () => {
    let seed = 1;
    while (seed <= walksMax && walk(configuration, seed, rule) === null) seed++;
    assert.ok(seed <= walksMax, `${walksMax} walks of ${configuration} found nothing`);
  });
}
