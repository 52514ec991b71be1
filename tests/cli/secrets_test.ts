import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { assertWorks, scratch } from "./nodes.ts";

test("no private key appears in any output, and none of it in the environment of commands", async () => {
  await using here = await scratch();
  for (const name of ["node.key", "me.key"]) assertWorks(await here.mxp(["keygen", "-o", name]));
  const secrets = await Promise.all(["node.key", "me.key"].map(async (name) => {
    return /^mxp-private-key-v1 (\S{43})$/m.exec(await readFile(here.path(name), "utf8"))![1];
  }));
  const forms = secrets.flatMap((secret) => {
    const bytes = Uint8Array.from(atob(secret.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [secret, secret.replaceAll("-", "+").replaceAll("_", "/"), hex];
  });

  await using node = await here.node(["--exec", "env; env >&2", "--identity", "node.key", "--log-level", "debug"]);
  const debug = ["--identity", "me.key", "--log-level", "debug"];
  const outputs = await Promise.all([
    here.mxp(["pubkey", "me.key", ...debug]),
    here.mxp(["pubkey", "me.key", "--json"]),
    here.mxp(["call", node.url, "x", "--timing", ...debug]),
    here.mxp(["call", node.url, "x", "--json", ...debug]),
    here.mxp(["ping", node.url, ...debug]),
    here.mxp(["keygen", "-o", "me.key", ...debug]),
    here.mxp(["call", node.keyless, "x", "--trust-new", ...debug]),
    // A private key where a public one belongs is not repeated.
    here.mxp(["call", `mxp://mxp-private-key-v1 ${secrets[1]}@127.0.0.1`, "x", ...debug]),
    here.mxp(["serve", "--allow", "me.key", ...debug]),
    here.mxp(["call", node.url, "x", "--identity", "missing", "--log-level", "debug"]),
  ]);
  const stopped = await node.stop();
  for (const { stdout, stderr } of [...outputs, stopped]) {
    for (const form of forms) {
      assert.ok(!stdout.includes(form), "a private key on standard output");
      assert.ok(!stderr.includes(form), "a private key on standard error");
    }
  }
});
