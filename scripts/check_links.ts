/**
 * Checks that the documents' links to other files lead somewhere, the anchors in them included.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import process from "node:process";
import { type Finding, lineAt, listFiles, projectRoot, report, type SourceFile } from "./source_files.ts";

/** One finding for each relative link to a file or heading that does not exist. */
export function checkLinks(documents: readonly SourceFile[], exists: (path: string) => boolean): Finding[] {
  const findings: Finding[] = [];
  const anchors = new Map(documents.map(({ path, text }) => [path, anchorsOf(text)]));
  for (const { path, text } of documents) {
    const prose = text.replace(/^```[\s\S]*?^```/gm, (block) => block.replace(/[^\n]/g, " "));
    for (const match of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      const target = match[1];
      if (/^[a-z]+:/.test(target)) continue;
      const [file, anchor] = target.split("#");
      const resolved = file === "" ? path : posix.normalize(posix.join(posix.dirname(path), file));
      const line = lineAt(prose, match.index);
      if (!exists(resolved)) findings.push({ path, line, message: `links to ${target}, which does not exist` });
      else if (anchor !== undefined && anchors.get(resolved)?.has(anchor) === false) {
        findings.push({ path, line, message: `links to ${target}, but there is no such heading` });
      }
    }
  }
  return findings;
}

/** Anchors as the usual renderers make them from headings. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of text.matchAll(/^#+ +(.+)$/gm)) {
    anchors.add(heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-"));
  }
  return anchors;
}

if (import.meta.main) {
  const documents = listFiles(projectRoot, [".md"])
    .map((path) => ({ path, text: readFileSync(projectRoot + path, "utf8") }));
  const findings = checkLinks(documents, (path) => existsSync(projectRoot + path));
  process.exitCode = report("links", documents.length, findings);
}
