#!/bin/bash
# A second BIND beside the installed one: prints the folder of its programs. Debian 12 has BIND 9.18, Debian 13 has
# 9.20; the packages of the one that is not installed, with all that they depend on down to the C library, are unpacked
# into a cache folder. apt fetches and verifies them with lists of its own: what is installed here stays as it is.
set -euo pipefail
PATH=$PATH:/usr/sbin

fail() { printf '\n=== FAILED: %s\n' "$*" >&2; exit 1; }

PROGRAMS=(sbin/named sbin/rndc sbin/tsig-keygen bin/named-checkconf bin/dnssec-keygen bin/nsupdate bin/dig)
RELEASE=trixie
! named -v | grep -q '^BIND 9\.20' || RELEASE=bookworm
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rotad-tests
# Whoever wants newer packages removes it.
ROOT=$CACHE/bind-of-$RELEASE

# The mirror from which this machine's apt gets the main archive of its own release.
mirror() {
    local release format
    release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016 # apt-get fills these in
    format='$(REPO_URI) $(RELEASE) $(COMPONENT)'
    apt-get indextargets --format "$format" "Created-By: Packages" |
        awk -v release="$release" '$2 == release && $3 == "main" && !uri { uri = $1 } END { print uri }'
}

# Fetches the packages into $1/apt.
fetch() {
    local apt=$1/apt uri
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial}
    uri=$(mirror)
    if [ -z "$uri" ]; then
        # apt knows of no mirror before its first update.
        apt-get -qq update </dev/null >&2 || fail "apt-get update"
        uri=$(mirror)
    fi
    [ -n "$uri" ] || fail "apt has no source of this Debian's main archive"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $RELEASE main" >"$apt/sources.list"
    # Nothing counts as installed, so that everything is fetched.
    : >"$apt/status"
    cat >"$apt/apt.conf" <<-END
	Dir::Etc::sourcelist "$apt/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	Dir::State "$apt/state";
	Dir::State::status "$apt/status";
	Dir::Cache "$apt/cache";
	Acquire::Languages "none";
	Acquire::Retries "3";
	APT::Sandbox::User "$(id -un)";
	APT::Install-Recommends "false";
	END
    APT_CONFIG=$apt/apt.conf apt-get -qq update </dev/null >&2 || fail "apt-get update of Debian $RELEASE"
    APT_CONFIG=$apt/apt.conf apt-get -qq -y --download-only install bind9 bind9-utils bind9-dnsutils </dev/null >&2 ||
        fail "apt-get does not fetch BIND of Debian $RELEASE"
}

# Unpacks them into $1/root.
unpack() {
    local package program library loader
    mkdir -p "$1/root/programs"
    for package in "$1"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$1/root"
    done
    library=$(dirname "$(find "$1/root/usr/lib" "$1/root/lib" -name libc.so.6 2>/dev/null | head -n 1)")
    loader=$(find "$library" -name 'ld-linux*.so.*' | head -n 1)
    [ -n "$loader" ] || fail "no loader among the packages of Debian $RELEASE"
    # With their own loader and libraries: those of this machine may be too old for them.
    for program in "${PROGRAMS[@]}"; do
        printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
            "$ROOT${loader#"$1/root"}" "$ROOT${library#"$1/root"}" "$ROOT/usr/$program" >"$1/root/programs/${program##*/}"
        chmod +x "$1/root/programs/${program##*/}"
    done
}

if [ ! -d "$ROOT" ]; then
    echo "fetching BIND of Debian $RELEASE into $ROOT" >&2
    mkdir -p "$CACHE"
    new=$(mktemp -d "$CACHE/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    fetch "$new"
    unpack "$new"
    # It appears when it is whole; if another run was quicker, its folder holds the same.
    mv -T "$new/root" "$ROOT" 2>/dev/null || [ -d "$ROOT" ] || fail "$ROOT cannot be made"
fi
echo "$ROOT/programs"
