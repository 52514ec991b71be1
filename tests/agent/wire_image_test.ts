import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { bindNodeUdp } from "../../lib/runtime/node_udp.ts";
import { address } from "../../lib/base/address.ts";
import { PacketReader } from "../../lib/wire/packet_header.ts";
import { connect, serve } from "../../mod.ts";

const SECRET = "what nobody on the way may read ".repeat(40);

/** A relay that keeps a copy of every UDP datagram, as a capture on the path would. */
async function capturing(port: number): Promise<{ port: number; seen: Uint8Array[]; close: () => void }> {
  const seen: Uint8Array[] = [];
  const node = address("127.0.0.1", port);
  let client = node;
  const socket = await bindNodeUdp({ host: "127.0.0.1", port: 0 }, {
    onDatagram(bytes, remote) {
      const copy = bytes.slice();
      seen.push(copy);
      if (remote.port !== port) client = remote;
      socket.send(copy, remote.port === port ? client : node);
    },
    onBatchEnd: () => void socket.flush(),
    onError(error) {
      throw error;
    },
  });
  return { port: socket.local.port, seen, close: () => socket.close() };
}

test("a capture of the traffic shows no plaintext, no repeated nonce field and no sequence of packet numbers", async () => {
  // As over a network, where it takes more packets than over loopback.
  const settings = { udpPayload: 1200 };
  await using server = await serve({ listen: "127.0.0.1:0", settings }, (payload) => payload);
  const relay = await capturing(server.address.port);
  try {
    const url = server.url.replace(/:\d+$/, `:${relay.port}`);
    await using client = await connect(url, { settings });
    for (let i = 0; i < 40; i++) assert.equal((await client.call("secret-method", SECRET)).text(), SECRET);
    const large = randomBytes(300_000);
    assert.ok(Buffer.from((await client.call(new Uint8Array(large))).bytes).equals(large));
  } finally {
    relay.close();
  }

  const all = Buffer.concat(relay.seen);
  for (const clear of [SECRET.slice(0, 16), "secret-method", "1PXM", Buffer.from(server.identity.publicKey)]) {
    assert.equal(all.includes(clear), false, `found ${clear.toString()} in clear`);
  }
  const nonces = new Set<string>(), numbers: bigint[] = [], flags = new Set<number>();
  const reader = new PacketReader();
  let packets = 0;
  for (const datagram of relay.seen) {
    reader.reset(datagram);
    while (reader.next()) {
      if (reader.isHandshake) continue;
      packets++;
      const view = new DataView(datagram.buffer, datagram.byteOffset + reader.start, 32);
      numbers.push(view.getBigUint64(8, true));
      flags.add(view.getUint8(16));
      nonces.add(Buffer.from(datagram.subarray(reader.start + 20, reader.start + 32)).toString("hex"));
    }
  }
  assert.ok(packets > 500, `only ${packets} packets`);
  assert.equal(nonces.size, packets);
  assert.equal(new Set(numbers).size, packets);
  // Masked numbers look random: hardly any is small, hardly any follows the one before, about half of them are larger than it.
  const steps = numbers.slice(1).map((number, i) => number - numbers[i]);
  assert.equal(numbers.filter((number) => number < 2n ** 32n).length, 0);
  assert.equal(steps.filter((step) => step > -1000n && step < 1000n).length, 0);
  const rising = steps.filter((step) => step > 0n).length / steps.length;
  assert.ok(rising > 0.4 && rising < 0.6, `${rising} of the steps go up`);
  assert.ok(flags.size > 30, `${flags.size} different flags bytes`);
});
