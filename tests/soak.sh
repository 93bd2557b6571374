#!/bin/bash
# Five hundred zones on a real BIND, and trouble of every kind: nodes that flap, edits of the file and by hand, BIND and
# rotad killed and stopped. In the end every zone must be right, and memory and open files as they were. Prints a table;
# the exit code is 1 when something was not kept. Installs what is missing (Debian, as root).
#
#   bash tests/soak.sh                  half an hour, and up to five minutes at the end
#   bash tests/soak.sh MINUTES [SEED]   SEED: that of a run before, for the same events in the same order
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
. tests/install.sh

fail() { printf '\n=== FAILED: %s\n' "$*" >&2; exit 1; }

install_missing bind9:/usr/sbin/named bind9-dnsutils:/usr/bin/nsupdate
command -v cargo >/dev/null || fail "cargo is missing; https://rustup.rs installs the Rust toolchain"
cargo bench --locked --bench soak -- "$@"
