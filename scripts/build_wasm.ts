/**
 * Compiles the AssemblyScript kernels and writes each as a module that holds the bytes in base64.
 *
 * ```sh
 * deno run -A scripts/build_wasm.ts            # writes
 * deno run -A scripts/build_wasm.ts --check    # fails when what is committed is not what the source compiles to
 * ```
 *
 * @module
 */

import asc from "assemblyscript/asc";
import { Buffer } from "node:buffer";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

interface Kernel {
  /** AssemblyScript source, relative to the project. */
  readonly source: string;
  /** The module to write, relative to the project. */
  readonly output: string;
  /** Name of the constant in it. */
  readonly constant: string;
}

const KERNELS: readonly Kernel[] = [
  { source: "lib/codec/xxh3/kernel.as.txt", output: "lib/codec/xxh3/kernel.wasm.ts", constant: "XXH3_KERNEL_BASE64" },
];

const OPTIONS = ["--runtime", "stub", "--importMemory", "--noAssert", "--enable", "simd", "-O3"];

function projectPath(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}

async function compile(kernel: Kernel): Promise<Uint8Array> {
  // The compiler wants a name that ends in .ts; the file is not named so, because it is not TypeScript.
  const entry = "kernel.ts";
  const source = readFileSync(projectPath(kernel.source), "utf8");
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main([entry, "--outFile", "kernel.wasm", ...OPTIONS], {
    readFile: (name: string) => name === entry ? source : null,
    writeFile: (_name: string, contents: string | Uint8Array) => {
      if (typeof contents !== "string") wasm = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || wasm === undefined) {
    throw new Error(`${kernel.source} does not compile: ${error?.message}\n${stderr.toString()}`);
  }
  return wasm;
}

function render(kernel: Kernel, wasm: Uint8Array): string {
  const lines = Buffer.from(wasm).toString("base64").match(/.{1,100}/g) ?? [];
  return `// Written by scripts/build_wasm.ts from ${kernel.source}. Do not edit.
// deno-fmt-ignore-file

/** The compiled kernel (${wasm.length} bytes) in base64. */
export const ${kernel.constant}: string =
${lines.map((line) => `  "${line}"`).join(" +\n")};
`;
}

const checking = process.argv.includes("--check");
for (const kernel of KERNELS) {
  const path = projectPath(kernel.output);
  const wanted = render(kernel, await compile(kernel));
  if (!checking) {
    writeFileSync(path, wanted);
    console.log(`wrote ${kernel.output}`);
  } else if (readFileSync(path, "utf8") === wanted) {
    console.log(`${kernel.output} is what ${kernel.source} compiles to`);
  } else {
    console.error(`${kernel.output} is not what ${kernel.source} compiles to: run scripts/build_wasm.ts`);
    process.exitCode = 1;
  }
}
