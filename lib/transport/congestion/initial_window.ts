/**
 * How much may be in flight before anything is known about a path.
 *
 * @module
 */

import { type Micros, millis } from "../../base/time.ts";
import { INITIAL_WINDOW_BYTES, MINIMUM_WINDOW_PACKETS } from "../recovery_constants.ts";

/** RFC 9002 §7.2. */
const PACKETS = 10;
/**
 * On a path with a longer round trip the window is that much larger: what ten datagrams in 100 ms are to its queues, sixty spread over
 * 600 ms are too. Without that, a satellite link idles through two or three round trips more of slow start.
 */
const USUAL_RTT = millis(100);
/** Largest factor. */
const MOST = 6;

/** The window that a connection starts with, given the round trip of its handshake once that is known. */
export function initialWindow(maxDatagramSize: number, rtt: Micros = USUAL_RTT): number {
  const window = Math.min(
    PACKETS * maxDatagramSize,
    Math.max(INITIAL_WINDOW_BYTES, MINIMUM_WINDOW_PACKETS * maxDatagramSize),
  );
  return window * Math.min(Math.max(rtt / USUAL_RTT, 1), MOST);
}

/** The initial window after a change of the datagram size. */
export function resizedWindow(window: number, before: number, now: number): number {
  return window / initialWindow(before) * initialWindow(now);
}
