#!/bin/bash
# Everything that must hold before a change goes in: format, lints, tests, documents. Installs what is missing (Debian,
# as root). No test skips in silence: what cannot run fails here. With --real also the checks of real servers (Postfix,
# Dovecot and nginx, each run by its test on loopback ports of its own), Knot DNS and PowerDNS as primaries, and the live
# tests a second time, against the other BIND of 9.18 and 9.20: see tests/bind.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
. tests/install.sh

step() { printf '\n=== %s\n' "$*"; }
fail() { printf '\n=== FAILED: %s\n' "$*" >&2; exit 1; }

real=
case "$*" in
    "") ;;
    --real) real=yes ;;
    *) fail "usage: tests/run.sh [--real]" ;;
esac

# package:command-or-file that proves it is there
NEEDS=(
    bind9:/usr/sbin/named
    bind9:/usr/sbin/tsig-keygen
    bind9-utils:/usr/bin/named-checkconf
    bind9-dnsutils:/usr/bin/dig
    systemd:/usr/bin/systemd-analyze
    util-linux:/usr/bin/unshare
    iproute2:/bin/ip
    procps:/bin/ps
    faketime:/usr/bin/faketime
    shellcheck:/usr/bin/shellcheck
)
REAL_NEEDS=(
    postfix:/usr/lib/postfix/sbin/postscreen
    dovecot-imapd:/usr/lib/dovecot/imap
    dovecot-pop3d:/usr/lib/dovecot/pop3
    dovecot-lmtpd:/usr/lib/dovecot/lmtp
    nginx-light:/usr/sbin/nginx
    knot:/usr/sbin/knotd
    pdns-server:/usr/sbin/pdns_server
    pdns-backend-sqlite3:/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql
    sqlite3:/usr/bin/sqlite3
)
[ -z "$real" ] || NEEDS+=("${REAL_NEEDS[@]}")

step "what the tests need"
install_missing "${NEEDS[@]}"
command -v cargo >/dev/null || fail "cargo is missing; https://rustup.rs installs the Rust toolchain"
for component in fmt clippy; do
    cargo $component --version >/dev/null 2>&1 || fail "cargo $component is missing; rustup component add rustfmt clippy"
done
echo "complete: $(cargo --version), $(named -v)"
# As "9.18": one of the live tests compares it with what answers.
series() { "$1" -v | sed -n 's/^BIND \([0-9]*\.[0-9]*\)\..*/\1/p'; }
if [ -n "$real" ]; then
    other=$(bash tests/bind.sh) || fail "there is no second BIND"
    echo "beside it: $("$other/named" -v)"
    [ "$(series named)" != "$(series "$other/named")" ] || fail "both are BIND $(series named)"
fi

step "shellcheck"
shellcheck -x .ci/run tests/run.sh tests/bench.sh tests/soak.sh tests/bind.sh tests/install.sh docs/demo.sh ||
    fail "shellcheck"

step "cargo fmt --check"
cargo fmt --check || fail "format; run: cargo fmt"

step "cargo clippy"
cargo clippy --locked --all-targets -- -D warnings || fail "clippy"

step "cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps || fail "documentation"

if [ -n "$real" ]; then
    step "real servers"
    cargo test --locked --test live -- --ignored checks::real servers:: </dev/null || fail "real servers"
fi

# The same random cases each time, so that a red run is the change's doing. Other seeds: PROPTEST_RNG_SEED=$RANDOM.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-2136}"

if [ -n "$real" ]; then
    version=$(series "$other/named")
    step "live tests on BIND $version"
    ROTAD_TEST_BIND=$other ROTAD_TEST_BIND_VERSION=$version \
        cargo test --locked --no-fail-fast --test live </dev/null || fail "live tests on BIND $version"
fi

# Last, so that the results are the last lines.
step "cargo test, on BIND $(series named)"
ROTAD_TEST_BIND_VERSION=$(series named) cargo test --locked --no-fail-fast </dev/null || fail "tests"
