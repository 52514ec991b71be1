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

/**
 * What belongs to one party as far as limits are concerned: an IPv4 address as it is, also when IPv6 carries it, and the
 * first 64 bits of any other IPv6 address, of which one party has 2^64. What is no address is its own block.
 */
export function addressBlock(host: string): string {
  if (!host.includes(":")) return host;
  const [plain] = host.toLowerCase().split("%", 1);
  if (plain.startsWith("::ffff:") && plain.includes(".")) return plain.slice("::ffff:".length);
  const [head, tail] = plain.split("::", 2);
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const rest = tail === "" ? [] : tail.split(":");
    while (groups.length + rest.length < 8) groups.push("0");
    groups.push(...rest);
  }
  return groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":");
}
