#!/usr/bin/env node
// Tells the BlackBox daemon of this node what a Node.js process measures of itself, and reports its crash.
//
//   In an application:  import { start } from './sidecar.mjs'; start();     (or: node --import ./start.mjs app.js)
//   To try it out:      node sidecar.mjs [--once]
//
// Needs Node.js 18. Reads BLACKBOX_URL (or NODE_IP), BLACKBOX_API_KEY or BLACKBOX_TOKEN_FILE, POD_NAME, POD_NAMESPACE,
// BLACKBOX_INTERVAL. Nothing in here throws into the application, or keeps it from ending.

import { randomUUID } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { PerformanceObserver, monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { getHeapStatistics } from 'node:v8';

const QUEUE = 60; // objects kept while the daemon cannot take them; then the oldest go
const TIMEOUT = 3_000; // ms for one request
const PATIENCE = 15_000; // ms that a dying process gives its report
const LONGEST_WAIT = 300_000; // ms; whatever Retry-After says
const MESSAGE = 4_000; // characters: at most 16 KiB as UTF-8, which is the daemon's bound
const STACK = 10_000; // characters: at most 60 KB even if JSON has to escape each of them; the bound is 64 KiB
const TICK = 20; // ms: how often the delay of the event loop is measured

const env = process.env;
const log = (text) => console.error(`sidecar: ${text}`);
const isAccepted = (status) => status >= 200 && status < 300;

/** At most `most` characters, and no half of a surrogate pair: that is no JSON. */
const clean = (text, most) => Buffer.from(text.slice(0, most)).toString();

/** This container's id, if its cgroup tells. With a cgroup namespace of its own it does not: then undefined. */
function containerId() {
  try {
    return readFileSync('/proc/self/cgroup', 'ascii').match(/[0-9a-f]{64}/g)?.at(-1);
  } catch {
    return undefined; // no Linux
  }
}

export class Sidecar {
  url = env.BLACKBOX_URL || `http://${env.NODE_IP || '127.0.0.1'}:8080`;
  interval = Math.max(1, Number(env.BLACKBOX_INTERVAL) || 10) * 1000;
  identity = { pod_name: env.POD_NAME, namespace: env.POD_NAMESPACE, container_id: containerId() };

  #queue = [];
  #notBefore = 0;
  #dropped = 0;
  #errors = 0;
  #gcPauses = 0;
  #gcPauseMs = 0;
  #eventLoopDelay = monitorEventLoopDelay({ resolution: TICK });
  #flushing = Promise.resolve();

  constructor() {
    this.#eventLoopDelay.enable();
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        this.#gcPauses += 1;
        this.#gcPauseMs += duration;
      }
    }).observe({ entryTypes: ['gc'] });
  }

  /** The daemon takes an entry's type from words in its key: memory, heap, gc, cpu, socket, runtime, error. */
  measure() {
    const memory = process.memoryUsage();
    const cpu = process.cpuUsage();
    const late = (nanos) => Math.max(0, Math.round(nanos / 1e6) - TICK); // what is measured has the tick in it
    const sockets = process.getActiveResourcesInfo?.().filter((name) => name === 'TCPSocketWrap').length;
    const data = {
      memory_rss_bytes: memory.rss,
      memory_external_bytes: memory.external,
      heap_used_bytes: memory.heapUsed,
      heap_total_bytes: memory.heapTotal,
      heap_limit_bytes: getHeapStatistics().heap_size_limit,
      gc_pauses_total: this.#gcPauses,
      gc_pause_ms_total: Math.round(this.#gcPauseMs),
      cpu_seconds_total: (cpu.user + cpu.system) / 1e6,
      sockets_open: sockets,
      runtime_event_loop_delay_p99_ms: late(this.#eventLoopDelay.percentile(99)),
      runtime_event_loop_delay_max_ms: late(this.#eventLoopDelay.max),
      runtime_version: process.version,
      runtime_uptime_seconds: Math.round(process.uptime()),
      telemetry_errors_total: this.#errors,
      telemetry_dropped_total: this.#dropped,
    };
    this.#eventLoopDelay.reset(); // each object is about its own interval
    return data;
  }

  sample() {
    return { ...this.identity, runtime: 'nodejs', timestamp: new Date().toISOString(), data: this.measure() };
  }

  #credential() {
    if (env.BLACKBOX_API_KEY) return env.BLACKBOX_API_KEY.trim();
    if (!env.BLACKBOX_TOKEN_FILE) throw new Error('neither BLACKBOX_API_KEY nor BLACKBOX_TOKEN_FILE is set');
    // Read each time: the kubelet writes a new token before the old one expires.
    return readFileSync(env.BLACKBOX_TOKEN_FILE, 'ascii').trim();
  }

  /** The status, 0 for no answer at all, and the ms that Retry-After asks for. Never rejects. */
  async #post(path, body) {
    try {
      const response = await fetch(this.url + path, {
        method: 'POST',
        headers: { Authorization: `Bearer ${this.#credential()}`, 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT),
      });
      const text = await response.text(); // or the connection is not free for the next request
      if (!response.ok) log(`${path}: ${response.status} ${text.slice(0, 500)}`);
      const seconds = parseInt(response.headers.get('retry-after'), 10);
      const wait = seconds >= 0 ? Math.min(seconds * 1000, LONGEST_WAIT) : undefined;
      return { status: response.status, wait };
    } catch (error) {
      log(`${path}: ${error.cause?.message ?? error.message}`);
      return { status: 0 };
    }
  }

  keep(sample) {
    this.#queue.push(sample);
    const tooMany = Math.max(0, this.#queue.length - QUEUE);
    this.#queue.splice(0, tooMany);
    this.#dropped += tooMany;
  }

  /** Sends all that is queued, after what is being sent: never the same object twice. */
  flush() {
    this.#flushing = this.#flushing.then(() => this.#flush());
    return this.#flushing;
  }

  /** One batch. What the daemon does not take now stays for the next time. */
  async #flush() {
    if (this.#queue.length === 0 || Date.now() < this.#notBefore) return;
    const entries = this.#queue;
    this.#queue = [];
    const { status, wait = 0 } = await this.#post('/api/v1/telemetry', { entries });
    this.#notBefore = Date.now() + wait;
    if (isAccepted(status)) return;
    this.#errors += 1;
    if ([400, 413, 415].includes(status)) {
      this.#dropped += entries.length; // it would be refused again
    } else {
      const since = this.#queue;
      this.#queue = [];
      for (const sample of [...entries, ...since]) this.keep(sample);
    }
  }

  /** Tries until it is accepted, or trying again is of no use. For the last words of a process. */
  async deliver(path, body) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const { status, wait = 1_000 } = await this.#post(path, body);
      if (isAccepted(status)) return true;
      const forNow = [0, 408, 429].includes(status) || status >= 500;
      if (!forNow || Date.now() + wait > deadline) return false;
      await sleep(wait);
    }
  }

  /** Reports what was thrown, an Error or not, as an incident. */
  report(thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    // A full heap ends the process at once, and only the kernel's record tells; these two are survived.
    const isOom = error.code === 'ERR_WORKER_OUT_OF_MEMORY' || error.message === 'Array buffer allocation failed';
    return this.deliver('/api/v1/incident', {
      ...this.identity,
      id: `node-${randomUUID()}`, // so that a second attempt is not a second incident
      timestamp: new Date().toISOString(),
      severity: 'critical',
      type: isOom ? 'oom' : 'crash',
      message: clean(`${error.name}: ${error.message}`, MESSAGE),
      context: { exception: clean(error.name, 100), stack: clean(error.stack ?? '', STACK) },
    });
  }

  /** Measures each interval, until `signal` is aborted. */
  async run({ signal, ref = false } = {}) {
    while (!signal?.aborted) {
      try {
        this.keep(this.sample());
        await this.flush();
        await sleep(this.interval, undefined, { signal, ref });
      } catch (error) {
        if (!signal?.aborted) log(error.message);
      }
    }
    await this.flush();
  }

  /** An exception, or a rejected promise, that nobody caught: reported; then the process ends as it would have. */
  watchForCrashes() {
    let isDying = false;
    process.on('uncaughtException', async (error) => {
      if (isDying) return;
      isDying = true;
      // An application that listens too has decided to go on.
      const isEnd = process.listenerCount('uncaughtException') === 1;
      if (isEnd) console.error('Uncaught', error);
      try {
        this.keep(this.sample());
        await this.flush();
        await this.report(error);
      } catch (failure) {
        log(failure.message);
      }
      isDying = false;
      if (isEnd) process.exit(1);
    });
  }
}

/** Measures in the background from now on. Signals stay the application's own. */
export function start() {
  const sidecar = new Sidecar();
  sidecar.watchForCrashes();
  sidecar.run();
  process.once('beforeExit', () => sidecar.flush());
  return sidecar;
}

async function main() {
  const sidecar = new Sidecar();
  if (process.argv[2] === '--once') {
    const isSent = await sidecar.deliver('/api/v1/telemetry', sidecar.sample());
    const isReported = await sidecar.report(new Error('a trial of the sidecar: nothing crashed'));
    process.exit(isSent && isReported ? 0 : 1);
  }
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => stop.abort());
  sidecar.watchForCrashes();
  await sidecar.run({ signal: stop.signal, ref: true });
  process.exit(0);
}

const isMain = process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url);
if (isMain) main();
