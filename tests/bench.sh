#!/bin/bash
# Speed, side by side with other programs in one run on one machine, as a table; the exit code is 1 when a bound was
# broken. Installs what is missing (Debian, as root).
#
#   bash tests/bench.sh                 everything: 30 to 45 minutes on two cores, the build included
#   bash tests/bench.sh wave growth     these parts only
#
# Two cores are enough, but nothing else should be running.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
. tests/install.sh

fail() { printf '\n=== FAILED: %s\n' "$*" >&2; exit 1; }

# package:file that proves it is there
NEEDS=(
    bind9:/usr/sbin/named
    knot-dnsutils:/usr/bin/knsupdate
    haproxy:/usr/sbin/haproxy
)
install_missing "${NEEDS[@]}"
command -v cargo >/dev/null || fail "cargo is missing; https://rustup.rs installs the Rust toolchain"

# The bench holds both ends of thousands of connections.
ulimit -n "$(ulimit -H -n)"
cargo bench --locked --bench beside -- "$@"
