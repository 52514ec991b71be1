/**
 * Network addresses as the core sees them: opaque labels that can be compared.
 *
 * @module
 */

/** An IP address and UDP port. Treat as immutable. Equal addresses have equal keys. */
export interface Address {
  /** IPv4 in dotted decimal, or IPv6 without brackets, as the runtime prints it. */
  readonly host: string;
  /** UDP port, 0–65535. */
  readonly port: number;
  /** `host:port` with IPv6 in brackets; what maps and comparisons use. */
  readonly key: string;
}

/** Makes an address. Performs no lookup: `host` must be an IP address already. */
export function address(host: string, port: number): Address {
  return { host, port, key: formatHostPort(host, port) };
}

/** Whether an IP address is this machine's own loopback. */
export function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.") || host.startsWith("::ffff:127.");
}

/** `host:port`, IPv6 in brackets. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
