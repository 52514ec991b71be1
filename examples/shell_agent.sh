#!/usr/bin/env bash
# A shell agent: any command answers calls and streams behind a node. Here it is tr.
# examples/shell_agent.sh, or MXP=dist/mxp examples/shell_agent.sh for another way to start the program

set -euo pipefail
set -m # Each background job is a process group, so that it can be ended with everything that it has started.
cd "$(dirname "$0")/.."
MXP="${MXP:-npx -y deno@2.9.6 run -A cli.ts}"

# A configuration of its own, taken away at the end together with whatever still runs.
XDG_CONFIG_HOME="$(mktemp -d)"
export XDG_CONFIG_HOME
trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$XDG_CONFIG_HOME"' EXIT
mkfifo "$XDG_CONFIG_HOME/node" "$XDG_CONFIG_HOME/agent"

# A node, on any free port. Its first line says where, and who it is.
$MXP serve --listen 127.0.0.1:0 --log-level error >"$XDG_CONFIG_HOME/node" &
exec 3<"$XDG_CONFIG_HOME/node"
read -r _ url <&3

# The agent. With --join it needs no address that others can reach; it says when it has joined.
$MXP serve --listen 127.0.0.1:0 --join "$url" --name upper --capability text.upper --exec 'tr a-z A-Z' \
  --json --log-level error >"$XDG_CONFIG_HOME/agent" &
exec 4<"$XDG_CONFIG_HOME/agent"
while read -r line <&4 && [[ $line != *joined* ]]; do :; done

$MXP call "$url" --capability text.upper 'hello from a shell'
echo
printf 'one\ntwo\n' | $MXP stream "$url/upper" --lines
