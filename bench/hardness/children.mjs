// The witness and the offender as processes of their own, with the priority
// they should have; and what the broker takes meanwhile.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readMemory } from '../support/memory.mjs';

const witnessPriority = '7';
/** What else runs on the machine must not keep it from offending. */
const offenderNiceness = '-15';
const sampleMs = 20;

function start(name, word, launcher) {
  const path = fileURLToPath(new URL(name, import.meta.url));
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'];
  if (launcher.length === 0) return fork(path, [word], { stdio });
  const [program, ...words] = launcher;
  return fork(path, [word], { stdio, execPath: program, execArgv: [...words, process.execPath] });
}

async function answerOf(child, who) {
  const ended = once(child, 'exit').then(([code]) => ({ error: `the ${who} ended with code ${code}` }));
  const [answer] = await Promise.race([once(child, 'message'), ended.then((value) => [value])]);
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer;
}

/** One that does not publish is not held by an alarm: it asks how long its queue is. */
export async function startWitness({ address, isRealTime, isPublishing = true }) {
  const child = start(
    'witness.mjs',
    JSON.stringify({ ...address, isPublishing }),
    isRealTime ? ['chrt', '--rr', witnessPriority] : [],
  );
  await answerOf(child, 'witness');
  return {
    measure: () => child.send('measure'),
    report() {
      const answer = answerOf(child, 'witness');
      child.send('report');
      return answer;
    },
    stop: () => child.kill('SIGKILL'),
  };
}

/** Resolves when its preparations are done. */
export async function startOffender({ name, address, seconds, isRealTime }) {
  const launcher = isRealTime ? ['nice', '-n', offenderNiceness] : [];
  const child = start('offender.mjs', JSON.stringify({ name, address, seconds }), launcher);
  await answerOf(child, 'offender');
  return {
    async offend() {
      const answer = answerOf(child, 'offender');
      child.send('go');
      return answer;
    },
    stop: () => child.kill('SIGKILL'),
  };
}

/** Memory of the broker, looked at again and again, in MB. */
export class MemoryWatch {
  #pid;
  #timer;
  rss = 0;
  anon = 0;

  constructor(pid) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.look(), sampleMs);
    this.look();
  }

  /** As it is now. */
  look() {
    if (this.#pid === null) return { rss: Number.NaN, anon: Number.NaN };
    const { rssKib, anonKib } = readMemory(this.#pid);
    const now = { rss: rssKib / 1024, anon: anonKib / 1024 };
    this.rss = Math.max(this.rss, now.rss);
    this.anon = Math.max(this.anon, now.anon);
    return now;
  }

  stop() {
    clearInterval(this.#timer);
  }
}

/** Seconds that the main thread of a process ran, and was ready and did not run because something else did. */
export function processorTime(pid) {
  if (pid === null) return { ran: Number.NaN, waited: Number.NaN };
  const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ');
  return { ran: Number(ran) / 1e9, waited: Number(waited) / 1e9 };
}
