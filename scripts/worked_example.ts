/**
 * Prints the worked example of docs/SPEC.md §10 as it stands there. Run it after a change of the wire format and paste.
 *
 * @module
 */

import { workedExample } from "../tests/support/worked_example.ts";

for (const { name, hex } of workedExample()) {
  console.log(`**${name}** (${hex.length / 2} bytes)\n\n\`\`\`\n${hex.replace(/.{120}/g, "$&\n").trimEnd()}\n\`\`\`\n`);
}
