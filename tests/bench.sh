#!/bin/bash
# Speed, side by side with other programs in one run on one machine, as a table; the exit code is 1 when a bound was
# broken. Installs what is missing (Debian, as root).
#
#   bash tests/bench.sh                 everything: about twenty minutes on two cores, the build included
#   bash tests/bench.sh zones growth    these parts only
#
# Two cores are enough, but nothing else should be running.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

fail() { printf '\n=== FAILED: %s\n' "$*" >&2; exit 1; }

# package:file that proves it is there
NEEDS=(
    bind9:/usr/sbin/named
    bind9-utils:/usr/bin/named-checkconf
    knot-dnsutils:/usr/bin/knsupdate
    haproxy:/usr/sbin/haproxy
    nginx-light:/usr/sbin/nginx
)
missing=()
for need in "${NEEDS[@]}"; do
    [ -e "${need#*:}" ] || missing+=("${need%%:*}")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    command -v apt-get >/dev/null || fail "apt-get is missing; install by hand: ${missing[*]}"
    [ "$(id -u)" = 0 ] || fail "become root to install: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update </dev/null || fail "apt-get update"
    # The benches start their own servers; those of the packages are not wanted here (invoke-rc.d(8): 101 forbids the start).
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
    fi
    apt-get -q -y --no-install-recommends install "${missing[@]}" </dev/null || fail "apt-get install ${missing[*]}"
fi

ulimit -n "$(ulimit -H -n)"
exec cargo bench --locked --bench beside -- "$@"
