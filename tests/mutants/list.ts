/**
 * Mutants: small mistakes that somebody could make in the transport. The fast tests have to catch every one; `deno task mutants` shows it.
 *
 * @module
 */

/** A mistake. */
export interface Mutant {
  /** Which rule of the transport it breaks. */
  readonly breaks: string;
  /** The file that it is in. */
  readonly file: string;
  /** Text that occurs exactly once there. */
  readonly from: string;
  /** What stands there instead. */
  readonly to: string;
  /** Tests that are tried first: files or folders. All fast tests of the transport follow if they catch nothing. */
  readonly tests: readonly string[];
}

/** The list. */
export const mutants: readonly Mutant[] = [
  {
    breaks: "a packet is believed once",
    file: "lib/transport/packet_receiver.ts",
    from: "if (!this.#replay.isFresh(keys.packetNumber)) {",
    to: "if (false) {",
    tests: ["tests/transport/connection_test.ts"],
  },
  {
    breaks: "a packet that is too old to tell counts as replayed",
    file: "lib/transport/replay_window.ts",
    from: "if (this.#highest - packetNumber > REPLAY_WINDOW_SIZE) return false;",
    to: "if (this.#highest - packetNumber > REPLAY_WINDOW_SIZE) return true;",
    tests: ["tests/transport/replay_window_test.ts"],
  },
  {
    breaks: "a jump of the packet number clears what it passes",
    file: "lib/transport/replay_window.ts",
    from: "this.#bits[(newest - i) & (WORDS - 1)] = 0;",
    to: "this.#bits[(newest - i) & (WORDS - 1)] |= 0;",
    tests: ["tests/transport/replay_window_test.ts"],
  },
  {
    breaks: "the nonce is the packet number's",
    file: "lib/transport/packet_protection.ts",
    from: "nonce[8 + i] = iv[8 + i] ^ (high >>> (8 * i));",
    to: "nonce[8 + i] = iv[8 + i];",
    tests: ["tests/transport/packet_protection_test.ts"],
  },
  {
    breaks: "the packet number is masked",
    file: "lib/wire/header_protection.ts",
    from: "bytes[at + 7] ^= w2;",
    to: "",
    tests: ["tests/wire/header_protection_test.ts"],
  },
  {
    breaks: "bad public keys are refused",
    file: "lib/crypto/x25519_public_key.ts",
    from: "for (const point of LOW_ORDER) if (bytesEqual(point, publicKey)) return false;",
    to: "",
    tests: ["tests/crypto/x25519_test.ts", "tests/noise"],
  },
  {
    breaks: "a Noise message is kept only once it is authentic",
    file: "lib/noise/handshake_state.ts",
    from: "if (payload === undefined || (accept !== undefined && !accept(payload))) return undefined;",
    to: "if (payload === undefined) return undefined;",
    tests: ["tests/noise/handshake_state_test.ts"],
  },
  {
    breaks: "the wire version is part of what both sides agree on",
    file: "lib/transport/handshake.ts",
    from: "return concatBytes(PROLOGUE_LABEL, version, Uint8Array.of(pattern), initiatorId.bytes, ticketHash);",
    to: "return concatBytes(PROLOGUE_LABEL, Uint8Array.of(pattern), initiatorId.bytes, ticketHash);",
    tests: ["tests/vectors"],
  },
  {
    breaks: "an IK initiator has to confirm",
    file: "lib/transport/handshake.ts",
    from: "constantTimeEqual(proof, confirmation(crypto, result.receiveSecret, result.handshakeHash));",
    to: "confirmation(crypto, result.receiveSecret, result.handshakeHash).length === proof.length;",
    tests: ["tests/transport/handshake_test.ts", "tests/sim/handshake_test.ts"],
  },
  {
    breaks: "a stranger gets at most three times what came from him",
    file: "lib/wire/constants.ts",
    from: "export const AMPLIFICATION_FACTOR = 3;",
    to: "export const AMPLIFICATION_FACTOR = 30;",
    tests: ["tests/transport/path_test.ts"],
  },
  {
    breaks: "a UDP datagram earns credit once, for the connection that its first packet names",
    file: "lib/transport/endpoint.ts",
    from: "if (isZeroConnectionId(bytes, 0) || !isSameId(bytes, 0, reader.start)) this.counters.droppedForeign++;",
    to: "if (isZeroConnectionId(bytes, 0)) this.counters.droppedForeign++;",
    tests: ["tests/transport/endpoint_test.ts"],
  },
  {
    breaks: "a hello fills 1200 bytes",
    file: "lib/transport/endpoint.ts",
    from: "size < MIN_INITIATOR_DATAGRAM_SIZE ||",
    to: "",
    tests: ["tests/transport/endpoint_test.ts"],
  },
  {
    breaks: "a cookie is good for one address",
    file: "lib/transport/cookies.ts",
    from: "initiatorId.bytes, encoder.encode(remote.key));",
    to: "initiatorId.bytes, encoder.encode(remote.host));",
    tests: ["tests/transport/cookies_test.ts"],
  },
  {
    breaks: "a cookie grows old",
    file: "lib/transport/cookies.ts",
    from: 'if (age * 1000 > COOKIE_LIFETIME) return "invalid";',
    to: "",
    tests: ["tests/transport/cookies_test.ts"],
  },
  {
    breaks: "the whole MAC of a cookie is compared",
    file: "lib/transport/cookies.ts",
    from: 'if (!constantTimeEqual(cookie.subarray(HEADER_SIZE), expected)) return "invalid";',
    to: 'if (!constantTimeEqual(cookie.subarray(HEADER_SIZE, 20), expected.subarray(0, 14))) return "invalid";',
    tests: ["tests/transport/cookies_test.ts"],
  },
  {
    breaks: "hellos in somebody's name do not shut him out",
    file: "lib/transport/hello_gate.ts",
    from: 'return retry === "always" || isTooMuch || isLoaded ? "retry" : "unvalidated";',
    to: 'if (isTooMuch) return "drop";\n    return retry === "always" || isLoaded ? "retry" : "unvalidated";',
    tests: ["tests/transport/retry_test.ts"],
  },
  {
    breaks: "a cookie is asked for before any key agreement",
    file: "lib/transport/hello_gate.ts",
    from: 'if (bucket < 0 || this.#proven.take(now, bucket)) return "validated";',
    to: 'return "validated";',
    tests: ["tests/transport/retry_test.ts"],
  },
  {
    breaks: "a Retry is about one hello",
    file: "lib/wire/handshake_message.ts",
    from:
      "if (!bytesEqual(payload.subarray(0, HELLO_HASH_SIZE), helloHash.subarray(0, HELLO_HASH_SIZE))) return undefined;",
    to: "if (helloHash.length === 0) return undefined;",
    tests: ["tests/wire/handshake_message_test.ts"],
  },
  {
    breaks: "few Retries are followed",
    file: "lib/transport/handshake_flow.ts",
    from: "const MAX_RETRIES = 3;",
    to: "const MAX_RETRIES = 3000;",
    tests: ["tests/transport/retry_test.ts"],
  },
  {
    breaks: "a reset is smaller than what it answers",
    file: "lib/transport/stateless_reset.ts",
    from: "const length = Math.min(size - 1,",
    to: "const length = Math.min(size,",
    tests: ["tests/transport/stateless_reset_test.ts"],
  },
  {
    breaks: "each connection id has its own reset token",
    file: "lib/transport/stateless_reset.ts",
    from: "return this.#hash.hmac(this.#key, id.bytes).slice(0, RESET_TOKEN_SIZE);",
    to: "return this.#hash.hmac(this.#key, id.bytes.subarray(1)).slice(0, RESET_TOKEN_SIZE);",
    tests: ["tests/transport/stateless_reset_test.ts"],
  },
  {
    breaks: "acknowledging what was left out closes the connection",
    file: "lib/transport/skipped_numbers.ts",
    from: "if (this.#latest[i] >= start && this.#latest[i] <= end) return true;",
    to: "",
    tests: ["tests/transport/skipped_numbers_test.ts"],
  },
  {
    breaks: "acknowledging what was not sent closes the connection",
    file: "lib/transport/loss_detection.ts",
    from: 'if (largest >= sent.next) return "unsent";',
    to: 'if (largest > sent.next) return "unsent";',
    tests: ["tests/transport/loss_detection_test.ts"],
  },
  {
    breaks: "a claimed delay beyond the peer's own limit is not believed",
    file: "lib/transport/loss_detection.ts",
    from: "const delay = this.#confirmed && ackDelay > this.maxAckDelay ? this.maxAckDelay : ackDelay;",
    to: "const delay = ackDelay;",
    tests: ["tests/transport/loss_detection_test.ts"],
  },
  {
    breaks: "a packet is lost when three later ones were acknowledged",
    file: "lib/transport/loss_detection.ts",
    from: "const lostByNumber = this.#largestAcked - this.reordering.packetThreshold;",
    to: "const lostByNumber = this.#largestAcked - this.reordering.packetThreshold - 1;",
    tests: ["tests/transport/loss_detection_test.ts"],
  },
  {
    breaks: "probe timeouts back off",
    file: "lib/transport/loss_detection.ts",
    from: "const backedOff = pto * (1 << Math.min(this.#ptoCount, MAX_PTO_EXPONENT));",
    to: "const backedOff = pto;",
    tests: ["tests/transport/loss_detection_test.ts"],
  },
  {
    breaks: "the probe timeout is four mean deviations above the round trip",
    file: "lib/transport/rtt.ts",
    from: "Math.max(4 * this.variation, GRANULARITY)",
    to: "Math.max(this.variation, GRANULARITY)",
    tests: ["tests/transport/rtt_test.ts"],
  },
  {
    breaks: "what is in flight stays within the window",
    file: "lib/transport/loss_detection.ts",
    from: "if (this.#bytesInFlight + size <= this.#congestion.window) return true;",
    to: "if (this.#bytesInFlight <= this.#congestion.window) return true;",
    tests: ["tests/transport/loss_detection_test.ts", "tests/sim/transfer_test.ts"],
  },
  {
    breaks: "more data on the connection than its credit closes it",
    file: "lib/transport/flow_control.ts",
    from: "if (received > this.#limit) return false;",
    to: "",
    tests: ["tests/transport/flow_control_test.ts"],
  },
  {
    breaks: "a final size does not change",
    file: "lib/transport/streams/receive_stream.ts",
    from: "if (this.#finalSize >= 0 ? finalSize !== this.#finalSize : finalSize < this.#highest) {",
    to: "if (this.#finalSize < 0 && finalSize < this.#highest) {",
    tests: ["tests/transport/streams/receive_stream_test.ts"],
  },
  {
    breaks: "gaps in what was received are bounded",
    file: "lib/transport/streams/reassembler.ts",
    from: "if (this.#gaps + more > MAX_GAPS || this.#budget.used + more > this.#budget.limit) return false;",
    to: "if (this.#gaps + more > MAX_GAPS) return false;",
    tests: ["tests/transport/streams/reassembler_test.ts"],
  },
  {
    breaks: "of conflicting bytes those that came first stay",
    file: "lib/transport/streams/reassembler.ts",
    from: "block.set(length === data.length ? data : data.subarray(0, length), segmentStart - start);",
    to: "if (length < 0) block.set(data, segmentStart - start);",
    tests: ["tests/transport/streams/reassembler_test.ts"],
  },
  {
    breaks: "packets ahead of their keys are kept within bounds",
    file: "lib/transport/undecryptable.ts",
    from: "if (this.#packets.length >= MAX_PACKETS || this.#bytes + length > MAX_BYTES) return false;",
    to: "if (this.#packets.length >= MAX_PACKETS) return false;",
    tests: ["tests/transport/undecryptable_test.ts"],
  },
  {
    breaks: "a peer that goes on while we are closing is answered less and less",
    file: "lib/transport/close_state.ts",
    from: "this.#repeatAt *= 2;",
    to: "this.#repeatAt += 1;",
    tests: ["tests/transport/close_state_test.ts"],
  },
  {
    breaks: "keys are replaced only once they were acknowledged",
    file: "lib/transport/key_phases.ts",
    from: "if (now >= this.#mayUpdateAt && (now >= this.#updateAt || sealedPackets >= this.#updatePackets)) {",
    to: "if (now >= this.#updateAt || sealedPackets >= this.#updatePackets) {",
    tests: ["tests/transport/key_phases_test.ts"],
  },
  {
    breaks: "a peer must not go on to keys before we can have the present ones",
    file: "lib/transport/key_phases.ts",
    from: "if (!this.#ackSent) return false;",
    to: "",
    tests: ["tests/transport/key_phases_test.ts", "tests/sim/hostile_keys_test.ts"],
  },
  {
    breaks: "a ticket works once",
    file: "lib/transport/used_tickets.ts",
    from: "this.#bits[byte] |= 1 << (number & 7);",
    to: "",
    tests: ["tests/transport/used_tickets_test.ts", "tests/transport/ticket_vault_test.ts"],
  },
  {
    breaks: "an idle connection ends although we go on sending",
    file: "lib/transport/idle_timer.ts",
    from: "if (this.#sentSinceReceived) return;",
    to: "",
    tests: ["tests/transport/idle_timer_test.ts"],
  },
  {
    breaks: "sending is spread over the round trip",
    file: "lib/transport/pacer.ts",
    from: "if (this.#tokens + this.#rate * TIMER_GRANULARITY >= size) {",
    to: "if (this.#rate >= 0) {",
    tests: ["tests/transport/pacer_test.ts"],
  },
  {
    breaks: "only the answer to a challenge validates a path",
    file: "lib/transport/path_validation.ts",
    from: "({ data }) => constantTimeEqual(data, response)",
    to: "({ data }) => data.length === response.length",
    tests: ["tests/transport/path_validation_test.ts", "tests/sim/path_attacks_test.ts"],
  },
  {
    breaks: "a peer cannot stuff us with connection ids",
    file: "lib/transport/remote_ids.ts",
    from:
      "if (this.activeCount > this.#limit || this.#retiring.size > 2 * this.#limit) return TransportError.CONNECTION_ID;",
    to: "",
    tests: ["tests/transport/remote_ids_test.ts", "tests/sim/path_attacks_test.ts"],
  },
  {
    breaks: "a parameter comes once",
    file: "lib/wire/transport_parameters.ts",
    from: "if ((seen & (1 << type)) !== 0) return failed(`parameter ${type} appears twice`);",
    to: "",
    tests: ["tests/wire/transport_parameters_test.ts"],
  },
];
