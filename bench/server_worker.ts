/**
 * The server of the measurements over sockets: a node through the public library, and a raw UDP socket beside it. A process
 * of its own, started by `main.ts`; ends with its standard input.
 *
 * @module
 */

import process from "node:process";
import { serve } from "../mod.ts";
import { printReady } from "./child.ts";
import { serveYardstick } from "./udp_yardstick.ts";

const sources = new Map<number, Uint8Array>();

const server = await serve({ listen: "127.0.0.1:0" }, {
  call: (payload) => payload,
  methods: {
    /** Takes bytes. */
    sink: () => undefined,
    /** Gives as many bytes as the payload says. */
    source: (payload) => {
      const size = Number(new TextDecoder().decode(payload));
      let bytes = sources.get(size);
      if (bytes === undefined) sources.set(size, bytes = new Uint8Array(size).fill(7));
      return bytes;
    },
    /** CPU time of this process in microseconds. */
    cpu: () => {
      const { user, system } = process.cpuUsage();
      return String(user + system);
    },
  },
});

printReady({ url: server.url, udpPort: await serveYardstick() });
