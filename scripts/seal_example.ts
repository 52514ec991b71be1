/**
 * Prints the sealed call of docs/SPEC.md §8.14 as it stands there. Run it after a change of the wire format and paste.
 *
 * @module
 */

import { sealExample } from "../tests/support/seal_example.ts";

for (const { name, hex } of sealExample()) {
  console.log(`**${name}** (${hex.length / 2} bytes)\n\n\`\`\`\n${hex.replace(/.{120}/g, "$&\n").trimEnd()}\n\`\`\`\n`);
}
