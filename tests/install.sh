# shellcheck shell=bash
# Sourced by scripts that need Debian's packages; it wants their `fail`.

# install_missing PACKAGE:FILE...: installs the packages whose file is not there (as root).
install_missing() {
    local need missing=()
    for need in "$@"; do
        [ -e "${need#*:}" ] || missing+=("${need%%:*}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing ${missing[*]}" >&2
    command -v apt-get >/dev/null || fail "apt-get is missing; install by hand: ${missing[*]}"
    [ "$(id -u)" = 0 ] || fail "become root to install: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update </dev/null >&2 || fail "apt-get update"
    # Servers are started by the tests; those of the packages are not wanted here (invoke-rc.d(8): 101 forbids the start).
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
    fi
    apt-get -q -y --no-install-recommends install "${missing[@]}" </dev/null >&2 || fail "apt-get install ${missing[*]}"
}
