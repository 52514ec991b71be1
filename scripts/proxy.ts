/**
 * A bad network between programs on this machine: `deno task proxy -- --listen 127.0.0.1:0 --to 127.0.0.1:9000 --loss 5 --delay 25`.
 *
 * @module
 */

import process from "node:process";
import { type Address, address } from "../lib/base/address.ts";
import { micros, millis, seconds } from "../lib/base/time.ts";
import { defaultBindUdp, SystemClock } from "../lib/runtime/mod.ts";
import { UdpProxy } from "../lib/testing/udp_proxy.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";

const HELP = `Relays UDP between clients and a server on this machine, and does to it what networks do.

  deno task proxy -- --listen HOST:PORT --to HOST:PORT [options]

  --listen HOST:PORT where clients come to (127.0.0.1:0, which takes any free port)
  --to HOST:PORT     where the server is
  --loss PERCENT     datagrams lost, each way (0)
  --burst N          how many are lost in a row (1)
  --bad-begin, --bad-end, --bad-loss PERCENT
                     bad spells (Gilbert–Elliott): probability, at each datagram, that one begins and that it
                     ends, and the share that is lost meanwhile (0, 10, 50)
  --delay MS         how long a datagram travels, each way (0)
  --jitter MS        up to this much longer (0)
  --rate MBIT        rate in Mbit/s, each way (as fast as it comes)
  --queue SIZE       queue in front of it (one bandwidth-delay product, at least 64KiB)
  --mtu BYTES        larger UDP payloads vanish (none do)
  --reorder PERCENT  datagrams held back (0)
  --depth N          how many others overtake them (3)
  --duplicate PERCENT  datagrams that arrive twice (0)
  --corrupt PERCENT  datagrams with flipped bits (0)
  --hole-after SECONDS, --hole-for SECONDS
                     loses everything from then on, for this long (0: never, 3)
  --rebind-after SECONDS  gives every client another port towards the server, once (0: never)
  --seed N           what is random follows from it (1)
  --duration SECONDS ends after this long (0: at SIGINT or SIGTERM)
  --json             what happened, at the end, as JSON
  --help

Only addresses of the loopback interface are taken. The first line that is printed is "listening HOST:PORT".`;

const OPTIONS = {
  listen: { type: "text", default: "127.0.0.1:0" },
  to: { type: "text", default: "" },
  loss: { type: "percent", default: 0 },
  burst: { type: "count", default: 1 },
  "bad-begin": { type: "percent", default: 0 },
  "bad-end": { type: "percent", default: 0.1 },
  "bad-loss": { type: "percent", default: 0.5 },
  delay: { type: "number", default: 0 },
  jitter: { type: "number", default: 0 },
  rate: { type: "number", default: Infinity, least: 0.001 },
  queue: { type: "size", default: 0 },
  mtu: { type: "count", default: 65507 },
  reorder: { type: "percent", default: 0 },
  depth: { type: "count", default: 3 },
  duplicate: { type: "percent", default: 0 },
  corrupt: { type: "percent", default: 0 },
  "hole-after": { type: "number", default: 0 },
  "hole-for": { type: "number", default: 3 },
  "rebind-after": { type: "number", default: 0 },
  seed: { type: "integer", default: 1 },
  duration: { type: "number", default: 0 },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

/** `HOST:PORT` with an IP address, IPv6 in brackets. */
function parseAddress(name: string, text: string, leastPort: number): Address {
  const match = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+|localhost)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65535 || port < leastPort) {
    throw new UsageError(`--${name} is an address such as 127.0.0.1:9000, not ${JSON.stringify(text)}`);
  }
  const host = match[1] ?? match[2];
  return address(host === "localhost" ? "127.0.0.1" : host, port);
}

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(OPTIONS, args);
  if (options.help) {
    console.log(HELP);
    return;
  }
  if (options.to === "") throw new UsageError("--to is missing: where is the server?");
  const clock = new SystemClock();
  const proxy = await UdpProxy.start({
    bindUdp: defaultBindUdp(),
    clock,
    listen: parseAddress("listen", options.listen, 0),
    to: parseAddress("to", options.to, 1),
    seed: options.seed,
    profile: {
      delay: millis(options.delay),
      jitter: millis(options.jitter),
      rate: options.rate,
      queue: options.queue,
      mtu: options.mtu,
      loss: options.loss,
      lossBurst: options.burst,
      badSpells: options["bad-begin"] === 0
        ? undefined
        : { begin: options["bad-begin"], end: options["bad-end"], loss: options["bad-loss"] },
      duplicate: options.duplicate,
      corrupt: options.corrupt,
      reorder: options.reorder,
      reorderDepth: options.depth,
    },
  });
  console.log(`listening ${proxy.local.key}`);
  const after = (wait: number, action: () => void): void => {
    if (wait > 0) clock.wakeAt(micros(clock.now() + seconds(wait)), action);
  };
  after(options["hole-after"], () => {
    proxy.setDown(true);
    after(options["hole-for"], () => proxy.setDown(false));
  });
  after(options["rebind-after"], () => void proxy.rebind());
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
    after(options.duration, resolve);
  });
  const { up, down, counters } = proxy;
  proxy.close();
  if (options.json) console.log(JSON.stringify({ clients: proxy.clientCount, up, down, ...counters }));
  else {
    console.log(`${proxy.clientCount} clients, ${counters.rebindings} rebindings`);
    for (const [name, link] of Object.entries({ up, down })) {
      console.log(`${name}: ${Object.entries(link).map(([what, count]) => `${what} ${count}`).join(", ")}`);
    }
  }
  // A wake-up that is still to come would keep the process.
  process.exit(0);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof RangeError)) throw error;
  console.error(`proxy: ${error.message}`);
  process.exitCode = 2;
}
