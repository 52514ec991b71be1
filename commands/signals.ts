/**
 * SIGINT, SIGTERM and SIGHUP: the first asks a command to stop, the second ends the process, as soon as it has said goodbye.
 *
 * @module
 */

import process from "node:process";
import { CliError } from "./errors.ts";

/** The signals that end a command in order, with the exit code that stands for each. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** How long saying goodbye may take at the second signal. */
const GOODBYE_MS = 100;

type StopName = keyof typeof EXIT_CODES;

/**
 * Asks the operating system about signals from the moment a command asks for {@link signal}; until then, and after
 * {@link release}, they end the process as they do everywhere.
 */
export class StopSignal {
  readonly #controller = new AbortController();
  readonly #listeners = new Map<StopName, () => void>();
  #received: StopName | undefined;
  /** What is still to be said at the second signal, in a moment; the third does not wait for it. */
  goodbye: (() => Promise<unknown>) | undefined;

  /** Aborts at the first signal, with a {@link CliError} as its reason. */
  get signal(): AbortSignal {
    if (this.#listeners.size === 0 && this.#received === undefined) this.#listen();
    return this.#controller.signal;
  }

  /** The signal that came; undefined if none did. */
  get received(): string | undefined {
    return this.#received;
  }

  /** The exit code for the signal that came; 0 if none did. */
  get exitCode(): number {
    return this.#received === undefined ? 0 : EXIT_CODES[this.#received];
  }

  /** Leaves signals to the operating system again: what is left to do may be killed. */
  release(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
    this.#listeners.clear();
  }

  #listen(): void {
    for (const name of Object.keys(EXIT_CODES) as StopName[]) {
      const listener = (): void => this.#onSignal(name);
      this.#listeners.set(name, listener);
      process.on(name, listener);
    }
  }

  #onSignal(name: StopName): void {
    if (this.#received === undefined) {
      this.#received = name;
      this.#controller.abort(new CliError(name === "SIGINT" ? "interrupted" : "terminated", `ended by ${name}`));
      return;
    }
    const exit = (): never => process.exit(EXIT_CODES[name]);
    const { goodbye } = this;
    this.goodbye = undefined;
    if (goodbye === undefined) exit();
    else {
      setTimeout(exit, GOODBYE_MS);
      void goodbye().then(exit, exit);
    }
  }
}
