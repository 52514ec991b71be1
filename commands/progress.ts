/**
 * The progress line of a transfer, for whoever waits at a terminal.
 *
 * @module
 */

import type { Console } from "./console.ts";
import { formatBytes } from "./duration.ts";

/** How far a call has got, as the library tells it. */
interface Transfer {
  readonly sent: number;
  readonly total: number;
  readonly received: number;
  readonly receiveTotal: number | undefined;
}

/** Transfers that are smaller are over before anybody could read about them. */
const WORTH_SHOWING_BYTES = 1 << 20;
/** What takes longer is shown, whatever its size. */
const WORTH_SHOWING_MS = 1000;
const REDRAW_MS = 100;

/** A line on standard error that is redrawn; nothing at all if that is no terminal. */
export class ProgressLine {
  readonly #console: Console;
  readonly #startedAt = performance.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #transfer: Transfer | undefined;

  constructor(console: Console) {
    this.#console = console;
    if (console.stderrIsTerminal && console.notes) this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  /** What is known now. Cheap: drawing has its own rhythm. */
  update(transfer: Transfer): void {
    this.#transfer = transfer;
  }

  /** Takes the line away. */
  stop(): void {
    clearInterval(this.#timer);
    this.#console.clearTransient();
  }

  #draw(): void {
    const elapsed = performance.now() - this.#startedAt;
    const text = progressText(this.#transfer, elapsed);
    if (text !== undefined) this.#console.transient(text);
  }
}

/** The line for a transfer; undefined as long as it is not worth showing. */
export function progressText(transfer: Transfer | undefined, elapsedMs: number): string | undefined {
  const { sent, total, received, receiveTotal } = transfer ??
    { sent: 0, total: 0, received: 0, receiveTotal: undefined };
  if (elapsedMs < WORTH_SHOWING_MS && Math.max(total, receiveTotal ?? received) < WORTH_SHOWING_BYTES) return undefined;
  const seconds = `${(elapsedMs / 1000).toFixed(1)} s`;
  if (received > 0) return `receiving ${part(received, receiveTotal)}, ${seconds}`;
  if (sent < total) return `sending ${part(sent, total)}, ${seconds}`;
  return `waiting for the answer, ${seconds}`;
}

function part(done: number, total: number | undefined): string {
  if (total === undefined) return formatBytes(done);
  const percent = total === 0 ? 100 : Math.floor(100 * done / total);
  return `${formatBytes(done)} of ${formatBytes(total)} (${percent} %)`;
}
