import assert from "node:assert/strict";
import { chmod, lstat, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import test from "node:test";
import {
  appendLine,
  configDirectory,
  exists,
  isPrivate,
  LineAppender,
  readBytes,
  readText,
  writeSecretFile,
} from "../../lib/runtime/mod.ts";

const isWindows = process.platform === "win32";

async function inScratch(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "mxp-files-"));
  try {
    await body(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

test("a secret file is readable by its owner alone, and so are directories made for it", () =>
  inScratch(async (directory) => {
    const path = join(directory, "a", "b", "key");
    await writeSecretFile(path, "secret\n");
    assert.equal(await readText(path), "secret\n");
    assert.deepEqual(await readBytes(path), new TextEncoder().encode("secret\n"));
    if (isWindows) return;
    assert.equal(await modeOf(path), 0o600);
    assert.equal(await modeOf(join(directory, "a")), 0o700);
    assert.equal(await modeOf(join(directory, "a", "b")), 0o700);
    assert.equal(await isPrivate(path), true);
  }));

test("a secret file that exists is not touched unless overwriting is asked for", () =>
  inScratch(async (directory) => {
    const path = join(directory, "key");
    await writeSecretFile(path, "first");
    await assert.rejects(writeSecretFile(path, "second"), { code: "EEXIST" });
    await assert.rejects(writeSecretFile(path, "second", { overwrite: false }), { code: "EEXIST" });
    assert.equal(await readText(path), "first");
    await writeSecretFile(path, "second", { overwrite: true });
    assert.equal(await readText(path), "second");
    assert.deepEqual(await readdir(directory), ["key"], "a temporary file was left behind");
  }));

test("overwriting a file that others could read leaves one that they cannot", () =>
  inScratch(async (directory) => {
    const path = join(directory, "key");
    await writeFile(path, "old");
    await chmod(path, 0o644);
    if (!isWindows) assert.equal(await isPrivate(path), false);
    await writeSecretFile(path, "new", { overwrite: true });
    assert.equal(await isPrivate(path), true);
    assert.equal(await readText(path), "new");
  }));

test("any permission of group or others makes a file not private", () =>
  inScratch(async (directory) => {
    if (isWindows) return;
    const path = join(directory, "key");
    await writeSecretFile(path, "x");
    for (let bit = 0; bit < 6; bit++) {
      await chmod(path, 0o600 | (1 << bit));
      assert.equal(await isPrivate(path), false, `mode ${(0o600 | (1 << bit)).toString(8)}`);
    }
    for (const mode of [0o600, 0o400, 0o700]) {
      await chmod(path, mode);
      assert.equal(await isPrivate(path), true);
    }
    await assert.rejects(isPrivate(join(directory, "missing")), { code: "ENOENT" });
  }));

test("a symbolic link is never written through", () =>
  inScratch(async (directory) => {
    if (isWindows) return;
    const target = join(directory, "target"), dangling = join(directory, "dangling"), link = join(directory, "link");
    await symlink(target, dangling);
    await assert.rejects(writeSecretFile(dangling, "x"), { code: "EEXIST" });
    assert.equal(await exists(target), false);
    await writeFile(target, "theirs");
    await symlink(target, link);
    await writeSecretFile(link, "mine", { overwrite: true });
    assert.equal(await readText(target), "theirs");
    assert.equal((await lstat(link)).isSymbolicLink(), false);
  }));

test("a write that fails leaves the old content and no litter", () =>
  inScratch(async (directory) => {
    const path = join(directory, "key");
    await mkdir(join(path, "inside"), { recursive: true });
    await assert.rejects(writeSecretFile(path, "x", { overwrite: true }));
    assert.deepEqual(await readdir(directory), ["key"]);
    assert.deepEqual(await readdir(path), ["inside"]);
  }));

test("lines from several writers at once are all there, none torn", () =>
  inScratch(async (directory) => {
    const path = join(directory, "log");
    const writers = await Promise.all([1, 2, 3].map(() => LineAppender.open(path)));
    const appends: Promise<void>[] = [];
    for (let i = 0; i < 50; i++) {
      for (const [w, writer] of writers.entries()) appends.push(writer.append(`${w} ${i} ${"x".repeat(i * 7)}`));
    }
    await Promise.all(appends);
    for (const writer of writers) await writer.close();
    await appendLine(path, "end");
    const lines = (await readText(path)).split("\n");
    assert.equal(lines.pop(), "");
    assert.equal(lines.pop(), "end");
    assert.equal(lines.length, 150);
    for (const w of [0, 1, 2]) {
      const own = lines.filter((line) => line.startsWith(`${w} `));
      assert.deepEqual(own, Array.from({ length: 50 }, (_, i) => `${w} ${i} ${"x".repeat(i * 7)}`));
    }
    if (!isWindows) assert.equal(await modeOf(path), 0o600);
  }));

test("a line with a line break is refused, and the appender goes on", () =>
  inScratch(async (directory) => {
    const path = join(directory, "log");
    const appender = await LineAppender.open(path);
    await assert.rejects(appender.append("two\nlines"), RangeError);
    await assert.rejects(appender.append("two\rlines"), RangeError);
    await appender.append("one");
    await appender.close();
    await appender.close();
    assert.equal(await readText(path), "one\n");
  }));

test("whether something exists is told apart from what cannot be known", () =>
  inScratch(async (directory) => {
    await writeFile(join(directory, "file"), "");
    assert.equal(await exists(directory), true);
    assert.equal(await exists(join(directory, "missing")), false);
    assert.equal(await exists(join(directory, "file", "inside")), false);
  }));

test("configuration lies under XDG_CONFIG_HOME if that is absolute, else under ~/.config", () => {
  if (isWindows) return;
  assert.equal(configDirectory({ XDG_CONFIG_HOME: "/x/y", HOME: "/home/me" }), "/x/y/mxp");
  assert.equal(configDirectory({ XDG_CONFIG_HOME: "x/y", HOME: "/home/me" }), "/home/me/.config/mxp");
  assert.equal(configDirectory({ XDG_CONFIG_HOME: "", HOME: "/home/me" }), "/home/me/.config/mxp");
  assert.equal(configDirectory({}), join(homedir(), ".config", "mxp"));
});
