/**
 * Drives a benchmark: so many operations at a time, or so many a second, and what became of them.
 *
 * @module
 */

import { Histogram } from "./histogram.ts";
import { CliError, codeOf } from "./errors.ts";

/** What is done again and again. Resolves when one message is through; `undefined` where there is no latency to tell. */
export interface Operation {
  /** `intended`: when it should have begun, on `performance.now()`'s scale. Gives the time from which latency counts. */
  run(worker: number, intended: number): Promise<number | undefined>;
}

/** How hard and how long. */
export interface Load {
  /** Operations at a time. */
  readonly concurrency: number;
  /** Operations a second whatever the answers do; undefined: the next one begins when one has ended. */
  readonly rate: number | undefined;
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly signal: AbortSignal;
  /** How long operations that are under way at the end may still take; default 5 s. */
  readonly graceMs?: number;
}

/** How far a run has got. */
export interface Progress {
  readonly isWarmUp: boolean;
  /** Milliseconds of the part that counts. */
  readonly elapsedMs: number;
  readonly messages: number;
  readonly errors: number;
  readonly latencies: Histogram;
}

/** What came out. */
export interface Outcome {
  /** Messages that were through within the time that counts. */
  readonly messages: number;
  /** Nanoseconds, of operations that should have begun within that time. */
  readonly latencies: Histogram;
  /** How long that time was in the end. */
  readonly elapsedMs: number;
  /** Operations that failed, by code; `deadline` for those that have not come back. */
  readonly errors: ReadonlyMap<string, number>;
  readonly firstError: unknown;
  /** At a given rate: operations that should have begun and could not. They count among the latencies by how long they waited. */
  readonly unstarted: number;
}

/** After a failure, so that failures do not make a busy loop. */
const PAUSE_AFTER_ERROR_MS = 10;
/** How long operations that are under way at the end may still take. */
const GRACE_MS = 5_000;
/** Before an operation is due, timers are too coarse; the event loop is turned instead. */
const TIMER_SLACK_MS = 2;
/** Errors after which the same connection will do nothing more. */
const FATAL: ReadonlySet<string> = new Set(["connection_lost", "closed", "usage", "too_large", "internal"]);

/** One run. */
export class BenchRun {
  readonly #operation: Operation;
  readonly #load: Load;
  readonly #latencies = new Histogram();
  readonly #errors = new Map<string, number>();
  readonly #begin: number;
  #countFrom: number;
  #end: number;
  #messages = 0;
  #unstarted = 0;
  #running = 0;
  #isOver = false;
  #firstError: unknown;
  /** Called when the part that counts begins. */
  onCounting: (() => unknown) | undefined;
  /** Called when it ends, before what is under way has ended. */
  onCounted: (() => unknown) | undefined;

  constructor(operation: Operation, load: Load) {
    this.#operation = operation;
    this.#load = load;
    this.#begin = performance.now();
    this.#countFrom = this.#begin + load.warmUpMs;
    this.#end = this.#countFrom + load.durationMs;
  }

  /** For a line of progress. */
  progress(): Progress {
    const now = performance.now();
    return {
      isWarmUp: now < this.#countFrom,
      elapsedMs: Math.max(0, Math.min(now, this.#end) - this.#countFrom),
      messages: this.#messages,
      errors: [...this.#errors.values()].reduce((sum, count) => sum + count, 0),
      latencies: this.#latencies,
    };
  }

  /** Runs to the end, or until the signal says so. Never rejects. */
  async run(): Promise<Outcome> {
    const { signal, warmUpMs, durationMs, rate, graceMs = GRACE_MS } = this.#load;
    const counting = setTimeout(() => this.onCounting?.(), warmUpMs);
    const stop = (): void => {
      const now = performance.now();
      this.#countFrom = Math.min(this.#countFrom, now);
      this.#end = Math.min(this.#end, now);
    };
    signal.addEventListener("abort", stop, { once: true });
    const work = rate === undefined ? this.#closedLoop() : this.#openLoop(rate);
    await after(warmUpMs + durationMs, signal, work);
    // Work that ended before its time has lost what it works with.
    stop();
    clearTimeout(counting);
    signal.removeEventListener("abort", stop);
    this.onCounted?.();
    await after(graceMs, signal, work);
    if (this.#running > 0 && !signal.aborted) {
      const text = `the node has not answered ${this.#running} operations`;
      this.#fail("deadline", new CliError("deadline", text), this.#running);
    }
    this.#isOver = true;
    return {
      messages: this.#messages,
      latencies: this.#latencies,
      elapsedMs: this.#end - this.#countFrom,
      errors: this.#errors,
      firstError: this.#firstError,
      unstarted: this.#unstarted,
    };
  }

  async #closedLoop(): Promise<void> {
    const worker = async (index: number): Promise<void> => {
      for (let now = performance.now(); now < this.#end; now = performance.now()) {
        if (!await this.#once(index, now)) return;
      }
    };
    await Promise.all(Array.from({ length: this.#load.concurrency }, (_, index) => worker(index)));
  }

  /**
   * Operations begin when their time has come, not when another one has ended; where as many run as may, they wait, and the
   * wait counts. So a server that stalls is seen to stall (no coordinated omission).
   */
  async #openLoop(rate: number): Promise<void> {
    const { concurrency } = this.#load;
    const free = Array.from({ length: concurrency }, (_, index) => index);
    const total = Math.ceil((this.#end - this.#begin) * rate / 1000);
    const due = (index: number): number => this.#begin + index * 1000 / rate;
    const running = new Set<Promise<void>>();
    let next = 0;
    while (next < total) {
      const now = performance.now();
      if (now >= this.#end || free.length + running.size === 0) break;
      while (next < total && free.length > 0 && due(next) <= now) {
        const worker = free.pop()!;
        const done: Promise<void> = this.#once(worker, due(next++)).then((isUsable) => {
          if (isUsable) free.push(worker);
          running.delete(done);
        });
        running.add(done);
      }
      const wait = due(next) - performance.now();
      if (free.length === 0 && running.size > 0) await Promise.race([Promise.race(running), after(20)]);
      else if (wait > TIMER_SLACK_MS) await after(wait - TIMER_SLACK_MS);
      else await new Promise((resolve) => setImmediate(resolve));
    }
    for (; next < total && due(next) < this.#end; next++) {
      if (due(next) < this.#countFrom) continue;
      this.#unstarted++;
      this.#latencies.record((this.#end - due(next)) * 1e6);
    }
    await Promise.all(running);
  }

  /** One operation; false if there is no point in another one on the same worker. */
  async #once(worker: number, intended: number): Promise<boolean> {
    this.#running++;
    try {
      const from = await this.#operation.run(worker, intended);
      const now = performance.now();
      if (now >= this.#countFrom && now <= this.#end) this.#messages++;
      if (from !== undefined && intended >= this.#countFrom && intended <= this.#end) {
        this.#latencies.record((now - from) * 1e6);
      }
      return true;
    } catch (error) {
      // What an abort cuts off is no failure.
      if (this.#isOver || this.#load.signal.aborted) return false;
      const code = codeOf(error);
      this.#fail(code, error, 1);
      if (performance.now() >= this.#end) return false;
      await after(PAUSE_AFTER_ERROR_MS);
      return !FATAL.has(code);
    } finally {
      this.#running--;
    }
  }

  #fail(code: string, error: unknown, count: number): void {
    this.#firstError ??= error;
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + count);
  }
}

/** Settles when a time has passed, or the signal or the end of `work` says so before; then no timer is left that keeps the process up. */
function after(milliseconds: number, signal?: AbortSignal, work?: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    void work?.then(done);
    if (signal?.aborted) done();
    else signal?.addEventListener("abort", done, { once: true });
  });
}
