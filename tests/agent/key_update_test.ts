import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, serve } from "../../mod.ts";
import { micros } from "../../lib/base/time.ts";
import { platforms } from "./support/platform.ts";

for (const [name, makePlatform] of platforms) {
  test(`calls go on ${name} while both sides replace their keys as often as they may`, async () => {
    const platform = makePlatform();
    const settings = { keyUpdateInterval: micros(0) };
    const server = await serve({ listen: "127.0.0.1:0", platform, settings }, (payload) => payload);
    try {
      const client = await connect(server.url, { platform, settings });
      // An update needs three probe timeouts, some hundred milliseconds.
      const end = Date.now() + 20_000;
      let epochs = 0;
      for (let i = 0; epochs < 3 && Date.now() < end; i++) {
        const payload = new Uint8Array(1 + i % 5000).fill(i);
        assert.deepEqual((await client.call(payload)).bytes, payload);
        const { transport } = client.stats();
        epochs = transport.keyUpdatesSent + transport.keyUpdatesReceived;
        assert.equal(transport.dropped.unauthentic, 0);
      }
      assert.ok(epochs >= 3, `${epochs} updates`);
      await client.close();
    } finally {
      await server.close();
    }
  });
}
