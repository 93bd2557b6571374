#!/bin/bash
# rotad at work, on this machine alone: a private BIND, three stand-in mail nodes, one of which dies and comes back.
#
#   bash docs/demo.sh                         builds rotad, then takes under a minute
#   ROTAD=/usr/bin/rotad bash docs/demo.sh    uses that binary
set -euo pipefail
cd "$(dirname "$0")/.."
# A user's path on Debian lacks the place of tsig-keygen.
PATH=$PATH:/usr/sbin:/sbin

DNS_PORT=${DEMO_DNS_PORT:-5300}
IMAP_PORT=1143
SMTP_PORT=1125
PATIENCE=30

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then BOLD=$'\033[1m' PLAIN=$'\033[0m'; else BOLD='' PLAIN=''; fi
say() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
fail() { printf '\ndemo: %s\n' "$*" >&2; exit 1; }

# --- what it needs -------------------------------------------------------------------------------------------------

missing=()
[ -x /usr/sbin/named ] && [ -x /usr/sbin/tsig-keygen ] || missing+=(bind9)
command -v dig >/dev/null || missing+=(bind9-dnsutils)
command -v perl >/dev/null || missing+=(perl-base)
[ -n "${ROTAD:-}" ] || command -v cc >/dev/null || missing+=(gcc libc6-dev)
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || fail "${missing[*]} missing; become root, or: sudo apt-get install ${missing[*]}"
    command -v apt-get >/dev/null || fail "${missing[*]} missing, and this is no Debian: install by hand"
    say "Installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -q update && apt-get -q -y --no-install-recommends install "${missing[@]}"; } </dev/null >/dev/null ||
        fail "apt-get could not install ${missing[*]}"
fi
if [ -z "${ROTAD:-}" ]; then
    command -v cargo >/dev/null || fail "cargo is missing; https://rustup.rs installs the Rust toolchain"
    say "Building rotad (a minute or two, the first time)"
    cargo build --locked --quiet || fail "the build failed"
    ROTAD=${CARGO_TARGET_DIR:-target}/debug/rotad
fi
ROTAD=$(readlink -f "$ROTAD")
[ -x "$ROTAD" ] || fail "$ROTAD is no program"

taken() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }
taken 127.0.0.1 "$DNS_PORT" && fail "port $DNS_PORT is taken; choose another: DEMO_DNS_PORT=5301 bash docs/demo.sh"
for node in 1 2 3; do
    for port in "$IMAP_PORT" "$SMTP_PORT"; do
        taken "127.0.1.$node" "$port" && fail "127.0.1.$node port $port is taken; is another demo running?"
    done
done

# --- everything in one directory, every process by its pid ---------------------------------------------------------

DIR=$(mktemp -d)
declare -A PIDS=()

stop() {
    kill "${PIDS[$1]}" 2>/dev/null || true
    wait "${PIDS[$1]}" 2>/dev/null || true
    unset "PIDS[$1]"
}
cleanup() {
    trap - EXIT
    trap '' INT TERM
    # The daemon first, so that it does not see the others go.
    for name in rotad node1 node2 node3 named; do
        [ -z "${PIDS[$name]:-}" ] || stop "$name"
    done
    rm -rf "$DIR"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_until COMPLAINT COMMAND...: until the command succeeds
wait_until() {
    local what=$1 end=$((SECONDS + PATIENCE))
    shift
    until "$@"; do
        if [ $SECONDS -ge $end ]; then
            tail -n 20 "$DIR/rotad.log" "$DIR/named.log" >&2 2>/dev/null || true
            fail "gave up after $PATIENCE s: $what"
        fi
        sleep 0.1
    done
}

# --- a private BIND with one zone and one key ----------------------------------------------------------------------

say "1. A private BIND on 127.0.0.1 port $DNS_PORT, with the zone demo.example and a TSIG key for rotad"
mkdir "$DIR/named" "$DIR/state"
(umask 077 && tsig-keygen rotad >"$DIR/rotad.key")
cat >"$DIR/named/demo.example.zone" <<ZONE
\$TTL 60
@   SOA ns hostmaster 1 3600 600 86400 60
@   NS  ns
ns  A   127.0.0.1
ZONE
cat >"$DIR/named.conf" <<CONF
include "$DIR/rotad.key";
options {
    directory "$DIR/named";
    listen-on port $DNS_PORT { 127.0.0.1; };
    listen-on-v6 { none; };
    pid-file "named.pid";
    session-keyfile none;
    recursion no;
    notify no;
};
controls { };
zone "demo.example" {
    type primary;
    file "demo.example.zone";
    update-policy {
        grant rotad name _rotad.demo.example TXT;
        grant rotad name demo.example MX;
        grant rotad zonesub A AAAA;
    };
};
CONF
sed -n '/update-policy/,/};/p' "$DIR/named.conf"
# A copy, because Debian's AppArmor profile of /usr/sbin/named keeps that path out of our directory.
cp /usr/sbin/named "$DIR/named-copy"
"$DIR/named-copy" -g -c "$DIR/named.conf" >"$DIR/named.log" 2>&1 &
PIDS[named]=$!
ask() { dig @127.0.0.1 -p "$DNS_PORT" +short +time=1 +tries=1 "$@" 2>/dev/null | sort; }
serves() { [ -n "$(ask demo.example SOA)" ]; }
wait_until "BIND does not answer" serves

# --- three nodes ---------------------------------------------------------------------------------------------------

# Greets as a mail server does, and knows how to say goodbye.
cat >"$DIR/node.pl" <<'PERL'
use strict; use warnings; use IO::Socket::INET; use IO::Select;
my ($address, $imap_port, $smtp_port) = @ARGV;
my %greeting = ($imap_port => "* OK IMAP4rev1 demo\r\n", $smtp_port => "220 demo ESMTP\r\n");
$SIG{CHLD} = 'IGNORE';
my @doors = map { IO::Socket::INET->new(LocalAddr => $address, LocalPort => $_, Listen => 50, ReuseAddr => 1)
    or die "$address port $_: $!\n" } sort keys %greeting;
my $doors = IO::Select->new(@doors);
while (1) {
    for my $door ($doors->can_read) {
        my $client = $door->accept or next;
        next if fork;
        alarm 10;
        $_->close for @doors;
        $client->autoflush(1);
        print $client $greeting{$client->sockport};
        while (my $line = <$client>) {
            if ($line =~ /^QUIT/i) { print $client "221 bye\r\n"; last }
            if ($line =~ /^(\S+) LOGOUT/i) { print $client "* BYE\r\n$1 OK\r\n"; last }
            print $client $line =~ /^(EHLO|HELO|NOOP)/i ? "250 demo\r\n" : $line =~ /^(\S+) / ? "$1 OK\r\n" : "500 ?\r\n";
        }
        exit;
    }
}
PERL
start_node() {
    perl "$DIR/node.pl" "127.0.1.$1" $IMAP_PORT $SMTP_PORT 2>>"$DIR/nodes.log" &
    PIDS[node$1]=$!
    wait_until "node$1 does not listen" taken "127.0.1.$1" $IMAP_PORT
}

say "2. Three stand-in mail nodes on 127.0.1.1, .2 and .3 (IMAP on port $IMAP_PORT, SMTP on port $SMTP_PORT)"
for node in 1 2 3; do start_node $node; done

# --- rotad ---------------------------------------------------------------------------------------------------------

say "3. rotad, with this cluster.yaml"
cat >"$DIR/cluster.yaml" <<YAML
bind:
  server: 127.0.0.1:$DNS_PORT
  key_file: rotad.key
cluster: demo
ttl: 5s
state_dir: $DIR/state
status_socket: $DIR/status.sock
nodes:
  node1: { addresses: [127.0.1.1] }
  node2: { addresses: [127.0.1.2] }
  node3: { addresses: [127.0.1.3] }
checks:
  imap: { kind: imap, port: $IMAP_PORT, interval: 1s, fast_interval: 200ms, timeout: 900ms, rise: 3, fall: 3 }
  smtp: { kind: smtp, port: $SMTP_PORT, interval: 1s, fast_interval: 200ms, timeout: 900ms, rise: 3, fall: 3 }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  mail: { publish: mx, preference: 10, exchange: "{node}.{domain}", checks: [smtp] }
domains:
  demo.example: { services: [imap, mail] }
YAML
cat "$DIR/cluster.yaml"
"$ROTAD" --config "$DIR/cluster.yaml" run >"$DIR/rotad.log" 2>&1 &
PIDS[rotad]=$!

# What rotad has written since it was last shown.
SHOWN=0
show_log() {
    # BIND answers us a moment before rotad has written that it did.
    sleep 0.3
    tail -n "+$((SHOWN + 1))" "$DIR/rotad.log" | sed 's/^/   rotad: /'
    SHOWN=$(wc -l <"$DIR/rotad.log")
}
show_dns() {
    for question in "imap.demo.example A" "demo.example MX"; do
        echo "   \$ dig +short $question"
        # shellcheck disable=SC2086 # name and type are two words
        ask $question | sed 's/^/       /'
    done
}
# published NODE...: the A and the MX set hold exactly these nodes
published() {
    [ "$(ask imap.demo.example A)" = "$(printf '127.0.1.%s\n' "$@")" ] &&
        [ "$(ask demo.example MX)" = "$(printf '10 node%s.demo.example.\n' "$@")" ]
}
alive() { kill -0 "${PIDS[rotad]}" 2>/dev/null || { cat "$DIR/rotad.log" >&2; fail "rotad has ended"; }; }
in_rotation() { alive; published "$@"; }

say "4. It checks every node, then publishes the healthy ones"
wait_until "the three nodes are not published" in_rotation 1 2 3
show_log
show_dns

say "5. node2 dies"
stop node2
wait_until "node2 is still published" in_rotation 1 3
show_log
show_dns
echo "   \$ rotad status"
"$ROTAD" --config "$DIR/cluster.yaml" status | sed 's/^/       /'

say "6. node2 comes back"
start_node 2
wait_until "node2 has not come back" in_rotation 1 2 3
show_log
show_dns

say "That is all: DNS follows the nodes. rotad stops, and DNS stays as it is"
stop rotad
show_log
published 1 2 3 || fail "the records changed when rotad stopped"
