/**
 * Durations as people write them: `5s`, `300ms`, `2m`, `1h`, plain numbers are seconds.
 *
 * @module
 */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, "": 1000 };

/** The longest delay that every runtime's timers take: 2³¹ − 1 milliseconds, almost 25 days. */
export const LONGEST_DELAY_MS = 0x7fff_ffff;

/** Milliseconds; undefined if the text is not a duration or too long for a timer. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h)?$/.exec(text.trim());
  if (match === null) return undefined;
  const milliseconds = Number(match[1]) * UNITS[match[2] ?? ""];
  return milliseconds <= LONGEST_DELAY_MS ? milliseconds : undefined;
}

/** What a duration looks like, for errors. */
export const DURATION_SHAPE = "5s, 300ms, 2m, 1h or a number of seconds, at most 24 days";

/** A duration in the unit that suits it, with three digits or so: `0.42 ms`, `18.3 ms`, `2.51 s`. */
export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds >= 999.5) return `${digits(milliseconds / 1000)} s`;
  return `${digits(milliseconds)} ms`;
}

function digits(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** Bytes in the unit that suits them: `999 bytes`, `1.2 KiB`, `16.0 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024, unit = 0;
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}
