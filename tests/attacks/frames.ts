/**
 * Attacks by a peer that has finished the handshake, on either side of it: what can be done with frames.
 *
 * @module
 */

import assert from "node:assert/strict";
import { seconds } from "../../lib/base/time.ts";
import { ControlOp, FrameType } from "../../lib/wire/constants.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import { StreamKind } from "../../lib/wire/stream_id.ts";
import type { Attack } from "./support/attack.ts";
import { ackBytes, controlBytes, dataFrame, EDGES, ourStream, theirStream, withU64 } from "./support/bytes.ts";
import { onBothSides, Returning, SMALL_WINDOWS, violation } from "./support/peers.ts";
import type { AttackerRole, Scene } from "./support/scene.ts";

/** Frames with a u64 in them, and where it is. */
function u64Fields(role: AttackerRole): readonly (readonly [Frame | Uint8Array, number])[] {
  const id = theirStream(role, 0);
  return [
    [dataFrame(id, 0, 1), 1],
    [dataFrame(id, 0, 1), 9],
    [{ type: "stream_open", streamId: id, streamClass: 1 }, 1],
    [{ type: "stream_fin", streamId: id, finalSize: 0 }, 1],
    [{ type: "stream_fin", streamId: id, finalSize: 0 }, 9],
    [{ type: "stream_max_data", streamId: id, limit: 0 }, 1],
    [{ type: "stream_max_data", streamId: id, limit: 0 }, 9],
    [{ type: "connection_max_data", limit: 0 }, 1],
    [{ type: "reset_stream", streamId: id, code: 0, finalSize: 0 }, 4],
    [{ type: "reset_stream", streamId: id, code: 0, finalSize: 0 }, 14],
    [{ type: "stop_sending", streamId: id, code: 0 }, 4],
    [{ type: "max_streams", kind: 0, limit: 0 }, 5],
    [{ type: "data_blocked", limit: 0 }, 4],
    [{ type: "stream_data_blocked", streamId: id, limit: 0 }, 4],
    [{ type: "stream_data_blocked", streamId: id, limit: 0 }, 12],
    [{ type: "streams_blocked", kind: 0, limit: 0 }, 5],
    [ackBytes(0, 0, [[0, 0]]), 1],
    [ackBytes(0, 0, [[0, 0]]), 9],
    [ackBytes(0, 0, [[0, 0]]), 19],
    [ackBytes(0, 0, [[0, 0]]), 27],
    [{ type: "crypto", offset: 0, data: new Uint8Array(1) }, 1],
  ];
}

function closedByVictim(scene: Scene): number {
  return Object.values(scene.victim.endpoint.violations).reduce((sum, count) => sum + count, 0);
}

/** The list. */
export const frameAttacks: readonly Attack[] = [
  ...violation("optimistic ACK: packets that were not sent", "PROTOCOL_VIOLATION", (_role, index, { connection }) => {
    const { packetsSent } = connection.stats();
    return [ackBytes(packetsSent + index, 0, [[0, packetsSent + index]])];
  }),

  ...onBothSides({
    name: "optimistic ACK: a number that was left out",
    counter: "violations.PROTOCOL_VIOLATION",
    rounds: [3, 30],
    pause: 50,
    // What the victim sends waits in buffers of 2 MiB.
    heapCap: 16,
    begin: (scene, role) => {
      let closed = 0, rounds = 0;
      return {
        round: () => {
          rounds++;
          const { peer, connection } = scene.attacker({ acknowledges: false });
          const id = connection.openStream(false, 2);
          assert.ok(id !== -1 && id === ourStream(role, 0));
          connection.write(id, new Uint8Array(1_500_000), true);
          // It claims to have got everything up to the highest number that it has seen, as fast as it can.
          let acknowledged = -1;
          scene.run(() => {
            scene.victim.pump(connection);
            const largest = peer.largestReceived;
            if (largest > acknowledged) {
              acknowledged = largest;
              peer.sendPlaintext(ackBytes(largest, 0, [[0, largest]]));
            }
            return peer.closed !== undefined;
          }, seconds(10));
          if (peer.closed?.code === TransportError.PROTOCOL_VIOLATION) closed++;
          peer.frames.length = 0;
        },
        count: () => scene.victim.endpoint.violations.PROTOCOL_VIOLATION ?? 0,
        check: () => assert.equal(closed, rounds),
      };
    },
  }),

  ...onBothSides({
    name: "ACK range explosion: gaps between all packets",
    counter: "violations.FRAME_ENCODING",
    rounds: [40, 1000],
    begin: (scene) => {
      const { peer, connection } = scene.attacker({ acknowledges: false });
      let most = 0, number = 10;
      return {
        round: () => {
          for (let i = 0; i < 100; i++) peer.sendPlaintext(encodeFrame({ type: "ping" }), number += 2);
          for (const frame of peer.frames) if (frame.type === "ack") most = Math.max(most, frame.ranges.length);
          peer.frames.length = 0;
        },
        count: () => {
          assert.equal(connection.state, "established");
          // More ranges than there can be in what was sent.
          peer.sendPlaintext(ackBytes(3000, 0, Array.from({ length: 1000 }, (_, i) => [3000 - 3 * i, 3000 - 3 * i])));
          peer.sendPlaintext(ackBytes(1, 0, [[0, 0]]));
          scene.tick(100);
          return closedByVictim(scene);
        },
        check: () => assert.ok(most > 0 && most <= 64, `${most} ranges in one frame`),
      };
    },
  }),

  ...violation("ACK ranges that touch, overlap, rise, or run backwards", "FRAME_ENCODING", (_role, index) => {
    const shapes = [[[1, 0]], [[2, 2], [0, 1]], [[0, 0], [4, 4]], [[5, 5], [0, 5]], []] as const;
    const ranges = shapes[index % shapes.length].map(([start, end]) => [start, end] as const);
    return [ackBytes(ranges[0]?.[1] ?? 0, 0, ranges)];
  }),

  ...onBothSides({
    name: "huge ACK delay",
    counter: "dropped.ackDelays",
    rounds: [40, 1000],
    begin: (scene, role) => {
      const { peer, connection } = scene.attacker({ acknowledges: false });
      const id = connection.openStream(false, 2);
      assert.ok(id !== -1 && id === ourStream(role, 0));
      return {
        round: () => {
          connection.write(id, new Uint8Array(500), false);
          scene.victim.pump(connection);
          scene.tick(25);
          const largest = peer.largestReceived;
          peer.sendPlaintext(ackBytes(largest, 2 ** 53 - 1, [[largest, largest]]));
          peer.frames.length = 0;
        },
        count: () => connection.stats().dropped.ackDelays,
        check: () => {
          const { smoothedRtt } = connection.stats();
          assert.ok(smoothedRtt > 0 && smoothedRtt < seconds(1), `a round trip of ${smoothedRtt} µs`);
          assert.equal(connection.state, "established");
        },
      };
    },
  }),

  ...onBothSides({
    name: "packet numbers that jump to 2^53 − 1 and back",
    counter: "dropped.replayed",
    rounds: [40, 1000],
    begin: (scene) => {
      const { peer, connection } = scene.attacker({ acknowledges: false });
      return {
        round: (index) => {
          const ping = encodeFrame({ type: "ping" });
          if (index === 0) peer.sendPlaintext(ping, 2 ** 53 - 1);
          else for (let i = 0; i < 50; i++) peer.sendPlaintext(ping, 1000 + 50 * index + i);
          peer.frames.length = 0;
        },
        count: () => connection.stats().dropped.replayed,
        check: () => assert.equal(connection.state, "established"),
      };
    },
  }),

  ...onBothSides({
    name: "packet numbers up to 2^64 − 1",
    counter: "dropped.unauthentic",
    rounds: [40, 1000],
    begin: (scene) => {
      const { peer, connection } = scene.attacker();
      return {
        round: () => {
          for (const [high, low] of EDGES) {
            // Masking is a XOR: whatever is changed on the wire changes under the mask.
            const packet = peer.seal(encodeFrame({ type: "ping" }));
            for (let i = 0; i < 4; i++) {
              packet[8 + i] ^= low >>> (8 * i);
              packet[12 + i] ^= high >>> (8 * i);
            }
            peer.sendBytes(packet);
          }
        },
        count: () => connection.stats().dropped.unauthentic,
        check: () => assert.equal(connection.state, "established"),
      };
    },
  }),

  ...violation("CRYPTO frames", "PROTOCOL_VIOLATION", (_role, index) => [
    { type: "crypto", offset: index * 1000, data: new Uint8Array(1000) },
  ]),

  ...onBothSides({
    name: "tiny fragments: one byte in two on many streams",
    counter: "violations.PROTOCOL_VIOLATION",
    rounds: [60, 600],
    settings: { maxData: 8 << 20, maxStreamData: 1 << 17 },
    begin: (scene, role) => {
      const attackers = new Returning(scene);
      let offset = 1;
      return {
        round: () => {
          const { peer } = attackers.current;
          for (let stream = 0; stream < 8; stream++) {
            const frames: Frame[] = [];
            for (let i = 0; i < 40; i++) frames.push(dataFrame(theirStream(role, stream), offset + 2 * i, 1));
            peer.send(...frames);
          }
          offset = offset + 80 < (1 << 17) - 100 ? offset + 80 : 1;
          peer.frames.length = 0;
        },
        count: () => scene.victim.endpoint.violations.PROTOCOL_VIOLATION ?? 0,
      };
    },
  }),

  ...violation(
    "one byte at the largest offset, and beyond",
    "FLOW_CONTROL",
    (role) => [
      dataFrame(theirStream(role, 0), SMALL_WINDOWS.maxStreamData - 1, 1),
      dataFrame(theirStream(role, 1), SMALL_WINDOWS.maxStreamData, 1),
    ],
  ),

  ...violation("conflicting overlaps, then data past the end", "FINAL_SIZE", (role) => {
    const id = theirStream(role, 0);
    return [
      dataFrame(id, 10, 90, false, 1),
      dataFrame(id, 50, 100, false, 2),
      dataFrame(id, 0, 150, true, 3),
      dataFrame(id, 150, 1),
    ];
  }),

  ...violation("a final size that changes", "FINAL_SIZE", (role, index) => {
    const id = theirStream(role, 0), finalSize = index % 2 === 0 ? 11 : 9;
    return [
      dataFrame(id, 5, 5, true),
      index % 3 === 0
        ? { type: "reset_stream", streamId: id, code: 0, finalSize }
        : { type: "stream_fin", streamId: id, finalSize },
    ];
  }),

  ...violation("more streams than are allowed", "STREAM_LIMIT", (role, index) => [
    dataFrame(theirStream(role, index % 2 === 0 ? 1024 : 2 ** 51 - 1), 0, 1),
  ]),

  ...onBothSides({
    name: "rapid reset: streams that are opened and reset as fast as they can be",
    counter: "streamResets",
    rounds: [60, 1500],
    begin: (scene, role) => {
      const { peer, connection } = scene.attacker();
      let index = 0, limit = 1024;
      return {
        round: () => {
          for (const frame of peer.frames.splice(0)) {
            if (frame.type === "max_streams" && frame.kind === StreamKind.UNIDIRECTIONAL) limit = frame.limit;
          }
          for (let i = 0; i < 40 && index + 10 <= limit; i++) {
            const frames: Frame[] = [];
            for (const end = index + 10; index < end; index++) {
              const streamId = theirStream(role, index, StreamKind.UNIDIRECTIONAL);
              frames.push(dataFrame(streamId, 0, 1), { type: "reset_stream", streamId, code: 7, finalSize: 1 });
            }
            peer.send(...frames);
          }
        },
        count: () => connection.stats().streamResets,
        check: () => {
          assert.equal(connection.state, "established");
          assert.equal(connection.stats().openStreams, 0);
        },
      };
    },
  }),

  ...onBothSides({
    name: "slow-loris: a thousand streams, each a byte now and then",
    counter: "openStreams",
    rounds: [60, 1500],
    pause: 20,
    begin: (scene, role) => {
      const { peer, connection } = scene.attacker();
      let at = 0;
      return {
        round: () => {
          for (let i = 0; i < 20; i++, at++) {
            peer.send(dataFrame(theirStream(role, at % 1000), Math.floor(at / 1000), 1));
          }
          peer.frames.length = 0;
        },
        count: () => connection.stats().openStreams,
        check: () => assert.equal(connection.state, "established"),
      };
    },
  }),

  ...onBothSides({
    name: "a peer that takes nothing: no credit is given, nothing is acknowledged",
    counter: "probeTimeouts",
    rounds: [60, 600],
    pause: 20,
    begin: (scene) => {
      const { peer, connection } = scene.attacker({ acknowledges: false });
      const id = connection.openStream(false, 2);
      const before = peer.receivedBytes;
      return {
        round: () => {
          if (id !== -1) connection.write(id, new Uint8Array(65_536), false);
          scene.victim.pump(connection);
          peer.frames.length = 0;
        },
        count: () => connection.stats().probeTimeouts,
        check: () => {
          assert.ok(connection.bytesInFlight < 200_000, `${connection.bytesInFlight} bytes in flight`);
          assert.ok(peer.receivedBytes - before < 300_000, `${peer.receivedBytes - before} bytes sent`);
        },
      };
    },
  }),

  ...onBothSides({
    name: "u64 edge values in every field",
    counter: "violations",
    rounds: [189, 1890],
    pause: 1,
    settings: SMALL_WINDOWS,
    begin: (scene, role) => {
      const attackers = new Returning(scene);
      const fields = u64Fields(role);
      return {
        round: (index) => {
          const [frame, at] = fields[index % fields.length];
          const edge = EDGES[Math.floor(index / fields.length) % EDGES.length];
          const { peer } = attackers.current;
          peer.sendPlaintext(withU64(frame instanceof Uint8Array ? frame : encodeFrame(frame), at, edge));
          scene.tick(15);
          peer.frames.length = 0;
        },
        count: () => closedByVictim(scene),
        check: () => assert.equal(scene.victim.endpoint.violations.INTERNAL, undefined),
      };
    },
  }),

  ...violation("unknown frames and unknown flags", "FRAME_ENCODING", (_role, index) => [
    Uint8Array.of([0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x17, 0x45, 0x81][index % 9], 0, 0, 0, 0),
  ]),

  ...violation(
    "frames that run past the end, and CONTROL bodies of the wrong length",
    "FRAME_ENCODING",
    (role, index) => [
      index % 2 === 0
        ? encodeFrame(dataFrame(theirStream(role, 0), 0, 10)).slice(0, -1 - index % 9)
        : controlBytes([ControlOp.PING, ControlOp.MAX_STREAMS, ControlOp.PATH_CHALLENGE][index % 3], new Uint8Array(5)),
    ],
  ),

  ...onBothSides({
    name: "invalid UTF-8, escapes and NUL in the reason of a CLOSE",
    counter: "late",
    rounds: [12, 200],
    begin: (scene) => {
      const reasons = [[0xff, 0xfe, 0x80], [0x1b, 0x5b, 0x33, 0x31, 0x6d], [0, 10, 13, 0xc2, 0x9b], [0xed, 0xa0, 0x80]];
      return {
        round: (index) => {
          const { peer, connection } = scene.attacker();
          const reason = Uint8Array.from(reasons[index % reasons.length]);
          peer.send({ type: "close", code: 0x100 + index, reason });
          for (let i = 0; i < 5; i++) peer.send({ type: "ping" });
          scene.tick(50);
          assert.equal(connection.closeReason?.by, "peer");
          assert.equal(typeof connection.closeReason?.message, "string");
          peer.frames.length = 0;
        },
        count: () => scene.dropped("late"),
      };
    },
  }),

  ...onBothSides({
    name: "amplification: packets for a connection that is closing, or was forgotten",
    counter: "dropped.late",
    rounds: [12, 200],
    begin: (scene) => {
      let most = 0;
      return {
        round: () => {
          const { peer, connection } = scene.attacker();
          scene.tick(50);
          const before = peer.receivedBytes;
          connection.close(scene.network.now, 0, "enough");
          scene.victim.pump(connection);
          for (let i = 0; i < 200; i++) peer.send({ type: "ping" });
          scene.tick(200);
          const sent = 200 * peer.seal(encodeFrame({ type: "ping" })).length;
          most = Math.max(most, (peer.receivedBytes - before) / sent);
          scene.network.detach(peer.address);
        },
        count: () => scene.dropped("late"),
        check: () => assert.ok(most > 0 && most < 0.2, `${most} bytes for each that came`),
      };
    },
  }),

  ...onBothSides({
    name: "PADDING, PING and unknown CONTROL floods",
    counter: "packetsReceived",
    rounds: [60, 1500],
    begin: (scene) => {
      const { peer, connection } = scene.attacker();
      const plaintexts = [
        new Uint8Array(1100),
        new Uint8Array(1100).map((_, i) => [FrameType.CONTROL, ControlOp.PING, 0, 0][i % 4]),
        controlBytes(0x77, new Uint8Array(1000)),
      ];
      return {
        round: (index) => {
          for (let i = 0; i < 50; i++) peer.sendPlaintext(plaintexts[index % 3]);
          peer.frames.length = 0;
        },
        count: () => connection.stats().packetsReceived,
        check: () => {
          assert.equal(connection.state, "established");
          const { bytesSent, bytesReceived } = connection.stats();
          assert.ok(bytesSent < bytesReceived, "less is answered than came");
        },
      };
    },
  }),
];
