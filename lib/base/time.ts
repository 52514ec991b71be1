/**
 * Time as the core sees it: a number of microseconds since an arbitrary start, handed in by whoever drives the core.
 * The core never asks for the time; that is what lets the simulator replay hours in seconds.
 *
 * @module
 */

/** Microseconds, either since the driver's arbitrary epoch or as a duration. May be fractional. */
export type Micros = number & { readonly __unit: "micros" };

/** No deadline: later than every other time. */
export const NEVER = Infinity as Micros;

/** Marks a plain number as microseconds. */
export function micros(value: number): Micros {
  return value as Micros;
}

/** Converts milliseconds to microseconds. */
export function millis(value: number): Micros {
  return (value * 1000) as Micros;
}

/** Converts seconds to microseconds. */
export function seconds(value: number): Micros {
  return (value * 1_000_000) as Micros;
}

/** Where a driver gets the time from, and how it asks to be woken. Implemented outside the core. */
export interface Clock {
  /** Monotonic time. */
  now(): Micros;
  /** Calls back once at or after `at`; the returned function cancels. */
  wakeAt(at: Micros, callback: () => void): () => void;
}
