/**
 * What one core does without a socket: encoding and decoding, sealing and opening, both sides of a handshake. A process of
 * its own, started by `main.ts`; prints what `child.ts` reads.
 *
 * @module
 */

import process from "node:process";
import { address } from "../lib/base/address.ts";
import { type Micros, micros } from "../lib/base/time.ts";
import { CodecError, createXxh3, MESSAGE_OVERHEAD_BYTES, MessageCodec, MessageType } from "../lib/codec/mod.ts";
import { generateKeyPair, selectProvider } from "../lib/crypto/mod.ts";
import type { Aead } from "../lib/crypto/types.ts";
import { SeededRandom } from "../lib/testing/seeded_random.ts";
import { type Connection, Endpoint, type ResumptionTicket } from "../lib/transport/mod.ts";
import { PacketKeys } from "../lib/transport/packet_protection.ts";
import { ConnectionId } from "../lib/wire/connection_id.ts";
import { PACKET_HEADER_SIZE, PACKET_TAG_SIZE, PacketFlag } from "../lib/wire/constants.ts";
import { printResults, readJob } from "./child.ts";
import { runRounds, timed, type Workload } from "./rounds.ts";
import { DATAGRAM_BYTES } from "./rows.ts";

const HANDSHAKES = 64;
const CLIENT = address("127.0.0.1", 40_000), SERVER = address("127.0.0.1", 9_000);

const job = readJob();
const crypto = selectProvider();
const random = new SeededRandom(1);
const workloads: Workload[] = [];
const wants = (row: string): boolean => job.rows.includes(row);

/** A message of the given payload, into and out of one buffer. */
function addCodec(name: string, bytes: number): void {
  const codec = new MessageCodec(createXxh3());
  const out = new Uint8Array(bytes + MESSAGE_OVERHEAD_BYTES), payload = new Uint8Array(bytes).fill(7);
  const header = { type: MessageType.RESPONSE, flags: 0, idLow: 1, idHigh: 2, traceLow: 3, traceHigh: 4 };
  if (wants(`encode_${name}`)) {
    workloads.push(timed(`encode_${name}`, job.roundMs, (count) => {
      for (let i = 0; i < count; i++) {
        header.idLow = i;
        codec.encode(out, 0, header, payload);
      }
    }));
  }
  if (wants(`decode_${name}`)) {
    codec.encode(out, 0, header, payload);
    workloads.push(timed(`decode_${name}`, job.roundMs, (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        const message = codec.decode(out, 0, out.length);
        if (message instanceof CodecError) throw message;
        sum += message.idHigh + message.payloadEnd;
      }
      if (sum === 0) throw new Error("decoded nothing");
    }));
  }
}

/** A whole packet: nonce, header, AEAD and header protection. */
function addPacket(name: string, aead: Aead): void {
  const secret = new Uint8Array(32).fill(5);
  const sealer = new PacketKeys(aead, crypto.sha256, secret), opener = new PacketKeys(aead, crypto.sha256, secret);
  const packet = new Uint8Array(DATAGRAM_BYTES), scratch = new Uint8Array(DATAGRAM_BYTES);
  const id = new ConnectionId(new Uint8Array(8).fill(9));
  const plaintextEnd = DATAGRAM_BYTES - PACKET_TAG_SIZE;
  let number = 0;
  if (wants(`seal_${name}`)) {
    workloads.push(inMicros(timed(`seal_${name}`, job.roundMs, (count) => {
      for (let i = 0; i < count; i++) sealer.seal(packet, 0, plaintextEnd, id, number++, PacketFlag.ACK_ELICITING);
    })));
  }
  if (wants(`open_${name}`)) {
    const sealed = new Uint8Array(DATAGRAM_BYTES);
    sealed.fill(1, PACKET_HEADER_SIZE);
    new PacketKeys(aead, crypto.sha256, secret).seal(sealed, 0, plaintextEnd, id, 0, PacketFlag.ACK_ELICITING);
    workloads.push(inMicros(timed(`open_${name}`, job.roundMs, (count) => {
      for (let i = 0; i < count; i++) {
        if (!opener.open(sealed, 0, sealed.length, scratch)) throw new Error("does not open");
      }
    })));
  }
}

function inMicros(workload: Workload): Workload {
  return async () => {
    const values = await workload();
    return Object.fromEntries(Object.entries(values).map(([row, ns]) => [row, ns / 1000]));
  };
}

/** Handshakes of two endpoints, from `connect` to HANDSHAKE_DONE; the time of each side by itself. */
function addHandshake(pattern: "ik" | "xx" | "resumed"): void {
  const initiatorRow = `handshake_${pattern}_initiator`, responderRow = `handshake_${pattern}_responder`;
  if (!wants(initiatorRow) && !wants(responderRow)) return;
  const common = { crypto, random };
  const clientKey = generateKeyPair(crypto.dh, random), serverKey = generateKeyPair(crypto.dh, random);
  workloads.push(() => {
    let initiatorMs = 0, responderMs = 0, done = 0;
    const began = performance.now();
    while (performance.now() - began < job.roundMs || done === 0) {
      const client = new Endpoint({ ...common, identity: clientKey, accept: false });
      const server = new Endpoint({ ...common, identity: serverKey, accept: true, settings: { maxTickets: 16 } });
      let now: Micros = micros(1_000);
      const tickets = pattern === "resumed" ? earnTickets(client, server, serverKey.publicKey, now) : [];
      const advance = (): Micros => now = micros(now + 50);
      const start = performance.now();
      const initiators: Connection[] = [];
      const hellos: Uint8Array[] = [];
      for (let i = 0; i < HANDSHAKES; i++) {
        const peerKey = pattern === "xx" ? undefined : serverKey.publicKey;
        const connection = client.connect(now, SERVER, { peerKey, ticket: tickets[i] });
        initiators.push(connection);
        collect(connection, now, hellos);
      }
      const atHellos = performance.now();
      const answers = exchange(server, CLIENT, hellos, advance());
      const atAnswers = performance.now();
      const finishes = exchange(client, SERVER, answers, advance());
      const atFinishes = performance.now();
      const confirmations = exchange(server, CLIENT, finishes, advance());
      const atConfirmations = performance.now();
      exchange(client, SERVER, confirmations, advance());
      const end = performance.now();
      if (!initiators.every((connection) => connection.confirmed)) throw new Error("a handshake did not end");
      initiatorMs += (atHellos - start) + (atFinishes - atAnswers) + (end - atConfirmations);
      responderMs += (atAnswers - atHellos) + (atConfirmations - atFinishes);
      done += HANDSHAKES;
    }
    return { [initiatorRow]: done * 1000 / initiatorMs, [responderRow]: done * 1000 / responderMs };
  });
}

/** As many tickets as there will be handshakes. */
function earnTickets(client: Endpoint, server: Endpoint, peerKey: Uint8Array, now: Micros): ResumptionTicket[] {
  const tickets: ResumptionTicket[] = [];
  while (tickets.length < HANDSHAKES) {
    const connection = client.connect(now, SERVER, { peerKey, tickets: 16 });
    let up: Uint8Array[] = [];
    collect(connection, now, up);
    while (up.length > 0) {
      const down = exchange(server, CLIENT, up, now);
      up = [];
      for (const datagram of down) {
        client.handleDatagram(now, SERVER, datagram);
        for (let event = connection.pollEvent(); event !== undefined; event = connection.pollEvent()) {
          if (event.type === "ticket") tickets.push(event.ticket);
        }
        collect(connection, now, up);
      }
    }
  }
  return tickets;
}

/** Hands datagrams to an endpoint and collects what its connections send. */
function exchange(endpoint: Endpoint, from: typeof CLIENT, datagrams: Uint8Array[], now: Micros): Uint8Array[] {
  const sent: Uint8Array[] = [];
  for (const datagram of datagrams) {
    const connection = endpoint.handleDatagram(now, from, datagram);
    if (connection !== undefined) collect(connection, now, sent);
  }
  return sent;
}

function collect(connection: Connection, now: Micros, into: Uint8Array[]): void {
  while (connection.pollEvent() !== undefined);
  for (;;) {
    const out = new Uint8Array(DATAGRAM_BYTES);
    const size = connection.pollTransmit(now, out);
    if (size === 0) return;
    into.push(out.subarray(0, size));
  }
}

addCodec("64", 64);
addCodec("1k", 1024);
addPacket("chacha", crypto.chacha20poly1305);
addPacket("aes", crypto.aes256gcm);
addHandshake("ik");
addHandshake("xx");
addHandshake("resumed");
const asked = new Set(job.rows);
const values = await runRounds(workloads, job.rounds);
printResults(Object.fromEntries(Object.entries(values).filter(([row]) => asked.has(row))));
process.exit(0);
