/**
 * A process of its own for the tests beside it: does what its argument says, and should end by itself.
 *
 * @module
 */

import process from "node:process";
import type { BindUdp } from "../../lib/agent/udp_socket.ts";
import { MxpError } from "../../lib/base/errors.ts";
import { micros } from "../../lib/base/time.ts";
import {
  bindNodeUdp,
  defaultBindUdp,
  isTerminal,
  MemoryNetwork,
  onSignal,
  readAllStdin,
  startCommand,
  stdinChunks,
  SystemClock,
  writeStderr,
  writeStdout,
} from "../../lib/runtime/mod.ts";

switch (process.argv[2]) {
  case "copy":
    await writeStdout(await readAllStdin(64 * 1024 * 1024));
    break;
  case "count": {
    let length = 0;
    for await (const chunk of stdinChunks()) length += chunk.length;
    await writeStdout(`${length}\n`);
    break;
  }
  case "limit":
    try {
      await readAllStdin(1000);
    } catch (error) {
      await writeStdout(`${(error as MxpError).code}: ${(error as MxpError).message}\n`);
    }
    break;
  case "write": {
    // Until the reader has gone, or far more than a pipe holds has been written.
    const block = new Uint8Array(100_000).fill(120);
    for (let i = 0; i < 1000; i++) {
      if (await writeStdout(block) === "written") continue;
      await writeStderr(`closed, and then ${await writeStdout("x")}\n`);
      break;
    }
    break;
  }
  case "patient": {
    // Far more than a pipe holds, to somebody who does not read yet: what else there is to do goes on.
    const written = writeStdout(new Uint8Array(1_000_000));
    setTimeout(() => void writeStderr("meanwhile\n"), 10);
    await written;
    break;
  }
  case "terminal":
    await writeStdout(`${isTerminal("stdin")} ${isTerminal("stdout")} ${isTerminal("stderr")}\n`);
    break;
  case "signal": {
    const wait = setInterval(() => {}, 1000);
    let count = 0;
    const stop = onSignal("SIGTERM", () => {
      void writeStdout(`signal ${++count}\n`);
      if (count < 2) return;
      stop();
      clearInterval(wait);
    });
    await writeStdout("ready\n");
    break;
  }
  case "sockets": {
    const clock = new SystemClock();
    const cancel = clock.wakeAt(micros(clock.now() + 60_000_000), () => {});
    for (const bind of [defaultBindUdp(), bindNodeUdp, new MemoryNetwork().bind]) await roundTrip(bind);
    cancel();
    await writeStdout("done\n");
    break;
  }
  case "orphan": {
    const running = startCommand("echo $$; sleep 60");
    for await (const chunk of running.stdout) {
      await writeStdout(chunk);
      process.exit(0);
    }
  }
}

/** One datagram there and one back, then everything is closed. */
async function roundTrip(bind: BindUdp): Promise<void> {
  const nothing = (): void => {};
  const answered = await new Promise<() => void>((resolve) => {
    void (async () => {
      const server = await bind({ host: "127.0.0.1", port: 0 }, {
        onDatagram: (bytes, remote) => {
          server.send(bytes.slice(), remote);
          void server.flush();
        },
        onBatchEnd: nothing,
        onError: nothing,
      });
      const client = await bind({ host: "127.0.0.1", port: 0 }, {
        onDatagram: () =>
          resolve(() => {
            client.close();
            server.close();
          }),
        onBatchEnd: nothing,
        onError: nothing,
      });
      client.send(new Uint8Array([1]), server.local);
      await client.flush();
    })();
  });
  answered();
}
