/**
 * IP addresses as text: recognised, and brought into the one form that comparisons rely on. (The URL parsers of the runtimes
 * disagree about some mixed forms.)
 *
 * @module
 */

/** Whether text is an IPv4 address in dotted decimal without leading zeros. */
export function isIpv4(text: string): boolean {
  return octets(text) !== undefined;
}

/** The shortest lower-case form of an IPv6 address (RFC 5952, without zone); undefined if it is not one. */
export function canonicalIpv6(text: string): string | undefined {
  const groups = parseIpv6(text);
  return groups === undefined ? undefined : formatIpv6(groups);
}

function octets(text: string): number[] | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  for (const part of parts) if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
  return parts.map(Number);
}

/** Eight 16-bit groups (RFC 4291 §2.2). */
function parseIpv6(text: string): number[] | undefined {
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text)) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const left = parseGroups(halves[0], halves.length === 1);
  const right = halves.length === 2 ? parseGroups(halves[1], true) : [];
  if (left === undefined || right === undefined) return undefined;
  const missing = 8 - left.length - right.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...left, ...new Array<number>(missing).fill(0), ...right];
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(parseInt(part, 16));
      continue;
    }
    const four = mayEndInIpv4 && i === parts.length - 1 ? octets(part) : undefined;
    if (four === undefined) return undefined;
    groups.push(four[0] << 8 | four[1], four[2] << 8 | four[3]);
  }
  return groups;
}

function formatIpv6(groups: readonly number[]): string {
  const mapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (mapped) return `::ffff:${groups[6] >>> 8}.${groups[6] & 255}.${groups[7] >>> 8}.${groups[7] & 255}`;
  // The longest run of at least two zero groups, the first one of equals (RFC 5952 §4.2).
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
    if (end > i) i = end;
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
