import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  defaultIdentityPath,
  defaultKnownPeersPath,
  fingerprintOf,
  generateIdentity,
  knownPeersFile,
  loadIdentity,
  MxpError,
  saveIdentity,
} from "../../mod.ts";

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "mxp-test-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function isConfig(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError && error.code === "config", String(error));
    assert.match(error.message, pattern);
    return true;
  };
}

test("an identity survives its file, which only its owner can read", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "new", "folders", "identity");
    const identity = generateIdentity();
    await saveIdentity(path, identity);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const loaded = await loadIdentity(path);
    assert.equal(loaded.publicKeyText, identity.publicKeyText);
    assert.equal(loaded.fingerprint, fingerprintOf(identity.publicKey));
  });
});

test("an identity is not overwritten unless that is asked for", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "identity");
    const [first, second] = [generateIdentity(), generateIdentity()];
    await saveIdentity(path, first);
    await assert.rejects(saveIdentity(path, second), isConfig(/exists already/));
    assert.equal((await loadIdentity(path)).publicKeyText, first.publicKeyText);
    await saveIdentity(path, second, { overwrite: true });
    assert.equal((await loadIdentity(path)).publicKeyText, second.publicKeyText);
  });
});

test("a key file that others can read is refused with the command that mends it", {
  skip: process.platform === "win32",
}, async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "identity");
    await saveIdentity(path, generateIdentity());
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      await chmod(path, mode);
      await assert.rejects(loadIdentity(path), isConfig(/chmod 600/));
    }
  });
});

test("what is missing or not a key file is named, with what to do", async () => {
  await inFolder(async (folder) => {
    await assert.rejects(loadIdentity(join(folder, "none")), isConfig(/none: there is no such file.*mxp keygen/));
    const path = join(folder, "text");
    await writeFile(path, "hello\n", { mode: 0o600 });
    await assert.rejects(loadIdentity(path), isConfig(/not an mxp key file: line 1/));
    await chmod(folder, 0o700);
    await assert.rejects(loadIdentity(folder), isConfig(/folder/));
  });
});

test("known peers are kept in a file of the owner's, also when it does not exist and when many add at once", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "new", "known_peers");
    const known = knownPeersFile(path);
    assert.equal(await known.lookup("h", 1), undefined);
    const identity = generateIdentity();
    await known.add("h", 1, identity.publicKey, "first contact");
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await Promise.all(
      Array.from({ length: 30 }, (_, i) => knownPeersFile(path).add(`host${i}`, 9000, identity.publicKey)),
    );
    const { peers, problems } = await known.read();
    assert.equal(peers.length, 31);
    assert.deepEqual(problems, []);
    assert.deepEqual((await known.lookup("host7", 9000))?.publicKey, identity.publicKey);
    await writeFile(path, (await readFile(path, "utf8")).trimEnd());
    await known.add("last", 1, identity.publicKey);
    assert.equal((await known.read()).peers.length, 32);
  });
});

test("the usual places are in the user's configuration folder", () => {
  assert.match(defaultIdentityPath(), /mxp\/identity$/);
  assert.match(defaultKnownPeersPath(), /mxp\/known_peers$/);
});
