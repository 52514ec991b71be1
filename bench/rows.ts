/**
 * What is measured: every row of the table, what it is compared with, and the arithmetic of comparing. The targets are those
 * of docs/performance.md.
 *
 * @module
 */

/** The runtimes that are measured. */
export type RuntimeName = "deno" | "bun";

/** Rows that are measured by the same code. */
export type Group = "codec" | "crypto" | "handshake" | "udp" | "call" | "calls" | "bulk" | "connect";

/** One row. */
export interface Row {
  readonly group: Group;
  readonly title: string;
  readonly unit: "ns" | "µs" | "MB/s" | "/s";
  /** Which values are good. */
  readonly better: "lower" | "higher";
  /** What is aimed at, by runtime. Without one the row is there to be looked at. */
  readonly target?: Readonly<Partial<Record<RuntimeName, number>>>;
  /** The raw UDP row that it is compared with, and what one unit of that is in this row's unit. */
  readonly yardstick?: { readonly row: string; readonly scale: number };
}

/** Size of a sealed packet, of the datagrams of the rows that say so, and of those of the raw one-way rate. */
export const DATAGRAM_BYTES = 1200;

const PING = { row: "udp_p50", scale: 1 };
const ONE_WAY = { row: "udp_one_way", scale: 1 };
const ONE_WAY_BYTES = { row: "udp_one_way", scale: DATAGRAM_BYTES / 1e6 };

/** All rows, in the order of the table. */
export const ROWS: Readonly<Record<string, Row>> = {
  encode_64: codec("encode 64 B", 35, 35),
  decode_64: codec("decode 64 B", 50, 65),
  encode_1k: codec("encode 1 KB", 90, 100),
  decode_1k: codec("decode 1 KB", 95, 120),
  seal_chacha: packet("seal a 1 200 B packet, ChaCha20-Poly1305", { deno: 1.55, bun: 2.1 }),
  open_chacha: packet("open a 1 200 B packet, ChaCha20-Poly1305", { deno: 1.55, bun: 2.1 }),
  seal_aes: packet("seal a 1 200 B packet, AES-256-GCM", { bun: 1.05 }),
  open_aes: packet("open a 1 200 B packet, AES-256-GCM", { bun: 1.05 }),
  handshake_ik_initiator: handshake("IK handshakes, initiator's CPU"),
  handshake_ik_responder: handshake("IK handshakes, responder's CPU"),
  handshake_xx_initiator: handshake("XX handshakes, initiator's CPU"),
  handshake_xx_responder: handshake("XX handshakes, responder's CPU"),
  handshake_resumed_initiator: handshake("resumed handshakes, initiator's CPU"),
  handshake_resumed_responder: handshake("resumed handshakes, responder's CPU"),

  udp_p50: { group: "udp", title: "raw UDP ping-pong 64 B, p50", unit: "µs", better: "lower" },
  udp_p99: { group: "udp", title: "raw UDP ping-pong 64 B, p99", unit: "µs", better: "lower" },
  udp_one_way: { group: "udp", title: "raw UDP one way 1 200 B", unit: "/s", better: "higher" },
  call_p50: { ...call("call 64 B, 1 in flight, p50", 75), yardstick: PING },
  call_p99: call("call 64 B, 1 in flight, p99", 130),
  call_64k_p50: { ...call("call 64 KB, 1 in flight, p50", 155), yardstick: PING },
  ...calls("calls_64", "calls 64 B, 64 in flight"),
  ...calls("calls_64_1200", "the same in 1 200 B datagrams"),
  bulk_up: bulk("bulk, 8 MiB calls", 520, 1_100),
  bulk_down: bulk("bulk, 8 MiB answers", 520, 1_100),
  bulk_up_1200: bulk("bulk, 8 MiB calls in 1 200 B datagrams", 110, 150),
  bulk_down_1200: bulk("bulk, 8 MiB answers in 1 200 B datagrams", 110, 150),
  connect_call_ik: { ...connect("connect (IK) and first call 64 B, p50", "µs", 500, 500), yardstick: PING },
  connect_call_xx: { ...connect("connect (XX) and first call 64 B, p50", "µs", 500, 500), yardstick: PING },
  connect_call_early: { ...connect("resume and first call 64 B in the hello, p50", "µs", 250, 250), yardstick: PING },
  connections_ik: connect("connections (IK), 16 at once", "/s", 5_000, 9_000),
  connections_xx: connect("connections (XX), 16 at once", "/s", 5_000, 9_000),
};

/** The rows of some groups. */
export function rowsOf(groups: readonly Group[]): string[] {
  return Object.entries(ROWS).filter(([, row]) => groups.includes(row.group)).map(([name]) => name);
}

/** The target of a row for a pair of runtimes: the easier one if they differ. Undefined if there is none. */
export function targetOf(row: Row, runtimes: readonly RuntimeName[]): number | undefined {
  const targets = runtimes.map((runtime) => row.target?.[runtime]);
  if (targets.some((target) => target === undefined)) return undefined;
  return row.better === "higher" ? Math.min(...targets as number[]) : Math.max(...targets as number[]);
}

/** How much of the target was reached: 1 is on target, 0.5 is half as good. */
export function reached(row: Row, value: number, target: number): number {
  return row.better === "higher" ? value / target : target / value;
}

/** A row below this share of its target needs an explanation. */
export const QUARTER = 0.25;

/** The middle one of some values (of an even number, the upper one). NaN if there is none. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}

function codec(title: string, deno: number, bun: number): Row {
  return { group: "codec", title, unit: "ns", better: "lower", target: { deno, bun } };
}

function packet(title: string, target: Readonly<Partial<Record<RuntimeName, number>>>): Row {
  return { group: "crypto", title, unit: "µs", better: "lower", target };
}

function handshake(title: string): Row {
  return { group: "handshake", title, unit: "/s", better: "higher", target: { deno: 5_000, bun: 9_000 } };
}

function call(title: string, target: number): Row {
  return { group: "call", title, unit: "µs", better: "lower", target: { deno: target, bun: target } };
}

function calls(name: string, title: string): Record<string, Row> {
  const cpu = { group: "calls", unit: "µs", better: "lower" } as const;
  const target = { deno: 500_000, bun: 550_000 };
  return {
    [name]: { group: "calls", title, unit: "/s", better: "higher", target, yardstick: ONE_WAY },
    [`${name}_client_cpu`]: { ...cpu, title: "… CPU of the client, a call" },
    [`${name}_server_cpu`]: { ...cpu, title: "… CPU of the server, a call" },
  };
}

function bulk(title: string, deno: number, bun: number): Row {
  const target = { deno, bun };
  return { group: "bulk", title, unit: "MB/s", better: "higher", target, yardstick: ONE_WAY_BYTES };
}

function connect(title: string, unit: "µs" | "/s", deno: number, bun: number): Row {
  return { group: "connect", title, unit, better: unit === "/s" ? "higher" : "lower", target: { deno, bun } };
}
