import assert from "node:assert/strict";
import test from "node:test";
import { registerJson, Type } from "../agent/support/plain_mesh.ts";
import { message, PlainPeer } from "../agent/support/plain_peer.ts";
import { udpPlatform } from "../agent/support/platform.ts";
import { assertFails, assertWorks, scratch } from "./nodes.ts";

const ID = "5b0c2a1e-7d3f-4c8a-9e61-0f2d4b6a8c10";

test("with --plain, a program in clear registers, calls the node, is listed as what it is, and is called; --plain says so loudly", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--json", "--plain", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
  const { plain, metrics } = JSON.parse(node.firstLine) as { plain: string; metrics: string };
  const warning = await node.logLine(/WARNING/);
  assert.match(
    warning,
    new RegExp(`plain carrier at ${plain}: no encryption, no authentication; every program on this`),
  );
  const peer = await PlainPeer.bind(udpPlatform(), plain);
  try {
    const json = registerJson(ID, peer.address.port, "re\u202eviewer");
    assert.equal((await peer.ask(message(Type.REGISTER, 0, 1n, 2n, json))).json.success, true);
    assert.equal((await peer.ask(message(Type.CALL, 0, 3n, 4n, `{"a":1}`))).text, `{"a":1}`);
    assert.equal((await peer.ask(message(Type.REGISTER, 0, 5n, 6n, `{"id":"","name":""}`))).json.code, "BAD_REQUEST");
    const numbers = await (await fetch(metrics)).text();
    assert.match(numbers, /^mxp_plain_agents 1$/m);
    assert.match(numbers, /^mxp_plain_refused\{code="BAD_REQUEST"\} 1$/m);
    const listed = await here.mxp(["discover", node.url]);
    assertWorks(listed);
    assert.match(listed.stdout, /re\\u202eviewer +online, plain +- +.* ago +5b0c2a1e-/);
    const calling = here.mxp(["call", `${node.url}/${ID}`, "hello"]);
    const call = await peer.next("the call");
    assert.equal(call.text, "hello");
    peer.send(message(Type.RESPONSE, 0, call.id, call.trace, "hello yourself"), call.from);
    const called = await calling;
    assertWorks(called);
    assert.equal(called.stdout, "hello yourself");
  } finally {
    peer.close();
  }
  const serve = (...args: string[]) => here.mxp(["serve", "--echo", "--listen", "127.0.0.1:0", ...args]);
  for (
    const [args, code, what] of [
      [["--plain", plain], 3, /cannot listen on 127\.0\.0\.1:\d+ for the plain carrier: the port is taken/],
      [["--plain", "0.0.0.0:0"], 2, /other machines can reach "0\.0\.0\.0".*--plain-force/],
      [["--plain-call-target", "x"], 2, /--plain-call-target is about the plain carrier; add --plain HOST:PORT/],
    ] as const
  ) assertFails(await serve(...args), code, what);
});
