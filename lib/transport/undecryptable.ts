/**
 * Packets that overtook the handshake message that carries their keys. They are kept for a moment, within bounds, so that
 * reordering costs no round trip (RFC 9001 §5.7).
 *
 * @module
 */

/** Packets kept. Enough for the first flight behind a hello; more would only help an attacker. */
const MAX_PACKETS = 16;
/** Bytes kept, all packets together. */
const MAX_BYTES = 32 * 1024;

/** A small, bounded store of packets without keys. */
export class UndecryptablePackets {
  #packets: Uint8Array[] = [];
  #bytes = 0;

  /** Copies a packet in; false if there is no room. */
  keep(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.#packets.length >= MAX_PACKETS || this.#bytes + length > MAX_BYTES) return false;
    this.#packets.push(bytes.slice(start, end));
    this.#bytes += length;
    return true;
  }

  /** Hands over what was kept, in order of arrival, and forgets it. */
  takeAll(): Uint8Array[] {
    const packets = this.#packets;
    this.#packets = [];
    this.#bytes = 0;
    return packets;
  }
}
