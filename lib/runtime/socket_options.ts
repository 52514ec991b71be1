/**
 * Options of sockets for which the runtimes have no call: larger kernel buffers, and no fragments.
 *
 * Linux gives a UDP socket 208 KB to receive into, charged per kernel buffer: some 64 packets of 1 452 bytes or 8 of
 * 16 KB, less than one flight of a fast connection. `setsockopt` is one call away through the runtimes' foreign function
 * interfaces; where that is missing, not permitted (Deno asks for `--allow-ffi`; nobody is prompted) or fails, the socket
 * stays as it is. The system's `net.core.rmem_max` and `wmem_max` cap what is granted.
 *
 * Linux sends a UDP datagram that is larger than the interface's MTU, or than what an ICMP answer has said about the path, in fragments. A path would
 * then seem to carry everything, and each fragment that gets lost takes all of them with it. With IP_PMTUDISC_PROBE every datagram leaves whole, with the
 * don't-fragment bit, or not at all (EMSGSIZE), and what ICMP says, which anybody can send, is not listened to (RFC 8899 §4.6.2).
 *
 * @module
 */

import type { Address } from "../base/address.ts";

/** What is asked for, each way. The kernel doubles it for its own bookkeeping. */
export const SOCKET_BUFFER_BYTES: number = 4 * 1024 * 1024;

/** <asm-generic/socket.h>; the same on x86-64 and arm64. */
const SOL_SOCKET = 1, SO_TYPE = 3, SO_SNDBUF = 7, SO_RCVBUF = 8;
const SOCK_DGRAM = 2;
/** <linux/in.h>, <linux/in6.h>. */
const IPPROTO_IP = 0, IP_MTU_DISCOVER = 10, IPPROTO_IPV6 = 41, IPV6_MTU_DISCOVER = 23, PMTUDISC_PROBE = 3;
/** Command of fcntl that any open descriptor answers. */
const F_GETFD = 1;
/** Where the search for a socket's descriptor ends. */
const MAX_DESCRIPTOR = 4_096;
/**
 * And so many closed descriptors in a row end it before: a new socket gets the lowest one that is free, so right after it was made
 * there is no gap below it, but for what other threads have closed since. Looking at all 4 096 takes longer than a handshake.
 */
const GAP = 64;

interface Libc {
  fcntl(fd: number, command: number): number;
  getsockname(fd: number, address: Uint8Array, length: Uint32Array): number;
  getsockopt(fd: number, level: number, name: number, value: Int32Array, length: Uint32Array): number;
  setsockopt(fd: number, level: number, name: number, value: Int32Array, length: number): number;
}

interface DenoFfi {
  readonly build: { readonly os: string };
  readonly permissions: { querySync(descriptor: { name: "ffi" }): { readonly state: string } };
  dlopen(path: string, symbols: Record<string, unknown>): { readonly symbols: Libc };
}

interface BunFfi {
  dlopen(path: string, symbols: Record<string, unknown>): { readonly symbols: BunLibc };
  ptr(view: ArrayBufferView): number;
}

interface BunLibc {
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
}

/** Deno's libc, opened at most once in a process; null if it could not be. */
let denoLibc: Libc | null | undefined;
/** The same for Bun. */
let bunLibc: SetOption | null | undefined;

/** Sets an option of a socket; 0 if the system agreed. */
type SetOption = (fd: number, level: number, name: number, value: Int32Array) => number;

/** Sets the options of a socket of `Bun.udpSocket`. True if the system agreed to all. */
export async function tuneBunSocket(fd: number): Promise<boolean> {
  bunLibc ??= await openBunLibc();
  return bunLibc !== null && tune(bunLibc, fd);
}

/** Sets the options of a socket of `Deno.listenDatagram`, which hides its descriptor: it is found by its address. */
export function tuneDenoSocket(local: Address): boolean {
  const libc = denoLibc ??= openDenoLibc();
  if (libc === null) return false;
  const fd = findDatagramSocket(libc, local.port);
  return fd >= 0 && tune((fd, level, name, value) => libc.setsockopt(fd, level, name, value, 4), fd);
}

function tune(set: SetOption, fd: number): boolean {
  const size = new Int32Array([SOCKET_BUFFER_BYTES]), probe = new Int32Array([PMTUDISC_PROBE]);
  const received = set(fd, SOL_SOCKET, SO_RCVBUF, size), sent = set(fd, SOL_SOCKET, SO_SNDBUF, size);
  // An IPv6 socket has both, since it may have IPv4 peers; an IPv4 socket refuses the other one.
  const whole = set(fd, IPPROTO_IP, IP_MTU_DISCOVER, probe), whole6 = set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, probe);
  return received === 0 && sent === 0 && (whole === 0 || whole6 === 0);
}

/** The descriptor of this process's UDP socket at a port; −1 if there is none or more than one. */
function findDatagramSocket(libc: Libc, port: number): number {
  const name = new Uint8Array(128), length = new Uint32Array(1), type = new Int32Array(1);
  let found = -1, closed = 0;
  for (let fd = 3; fd < MAX_DESCRIPTOR && closed < GAP; fd++) {
    length[0] = name.length;
    if (libc.getsockname(fd, name, length) !== 0) {
      closed = libc.fcntl(fd, F_GETFD) < 0 ? closed + 1 : 0;
      continue;
    }
    closed = 0;
    // struct sockaddr_in and sockaddr_in6: u16 family, then the port in network order.
    if (length[0] < 4 || ((name[2] << 8) | name[3]) !== port) continue;
    length[0] = 4;
    if (libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, type, length) !== 0 || type[0] !== SOCK_DGRAM) continue;
    if (found >= 0) return -1;
    found = fd;
  }
  return found;
}

function openDenoLibc(): Libc | null {
  try {
    const deno = (globalThis as unknown as { Deno?: DenoFfi }).Deno;
    if (deno?.build.os !== "linux" || deno.permissions.querySync({ name: "ffi" }).state !== "granted") return null;
    return deno.dlopen("libc.so.6", {
      fcntl: { parameters: ["i32", "i32"], result: "i32" },
      getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
      getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
      setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
    }).symbols;
  } catch {
    return null;
  }
}

async function openBunLibc(): Promise<SetOption | null> {
  try {
    // Not a literal, so that bundlers and type checkers of other runtimes do not look for it.
    const specifier = "bun:ffi";
    const ffi = await import(specifier) as BunFfi;
    const { symbols } = ffi.dlopen("libc.so.6", {
      setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    });
    return (fd, level, name, value) => symbols.setsockopt(fd, level, name, ffi.ptr(value), 4);
  } catch {
    return null;
  }
}
