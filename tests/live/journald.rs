//! Events against a real `systemd-journald`, which runs here without systemd as pid 1: in a mount namespace of its own,
//! with a fresh `/run` and `/var/log`, so that the machine's own journal neither helps nor suffers.

use std::{path::Path, process::Command};

use rotad::{
    check::Target,
    cluster::{CheckName, NodeName},
    dns::{OwnerName, RrType, RrsetId},
    event::{Event, Kind},
    io::journal,
};
use serde_json::Value;

/// Runs in the namespace: starts journald, lets this test's other half write, prints what the journal holds.
///
/// `$JOURNAL_STREAM` names the stream that stderr is, as systemd would do it.
const NAMESPACE: &str = r#"
set -eu
dir=$1; shift
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/systemd/journal /run/log
tr -d - < /proc/sys/kernel/random/uuid > /run/machine-id
[ -e /etc/machine-id ] || touch /etc/machine-id
mount --bind /run/machine-id /etc/machine-id
/lib/systemd/systemd-journald > "$dir/journald.log" 2>&1 &
journald=$!
trap 'kill $journald' EXIT
tries=0
until [ -S /run/systemd/journal/socket ]; do
    tries=$((tries + 1)); [ $tries -lt 600 ] || { echo "systemd-journald made no socket" >&2; exit 1; }
    sleep 0.05
done
exec 3> "$dir/stderr"
JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/3) "$@" > "$dir/stdout" 2>&3
journalctl --sync
journalctl --no-pager --all -o json --directory=/run/log/journal SYSLOG_IDENTIFIER=rotad
"#;

/// Tells this test's half inside the namespace that it is that half.
const INSIDE: &str = "ROTAD_TEST_INSIDE";

fn down() -> Event {
    let target = Target {
        node: NodeName::new("node01"),
        check: CheckName::new("imap"),
        address: "2001:db8::11".parse().unwrap(),
    };
    Event::new(Kind::CheckDown, "node01 imap (2001:db8::11) is down: connection refused (3 of 3), was up for 2h 11m")
        .target(&target)
        .reason("connection refused")
}

fn published() -> Event {
    let owner = OwnerName::parse("imap.mydomain.org").unwrap();
    Event::new(Kind::Published, "imap.mydomain.org A: -192.0.2.11")
        .zone(&OwnerName::parse("mydomain.org").unwrap())
        .rrset(&RrsetId { owner, rtype: RrType::A })
        .generation(42)
}

fn forged() -> Event {
    Event::new(Kind::ZoneFailing, "mydomain.org: \nMESSAGE=all is well\u{1b}[2J")
        .rcode("REFUSED")
        .reason("first\nNODE=forged\nthird")
}

#[test]
fn every_field_arrives_and_none_is_forged() {
    if std::env::var_os(INSIDE).is_some() {
        let farewell = journal::init().unwrap();
        [down(), published(), forged()].iter().for_each(journal::emit);
        drop(farewell);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let entries = journal_of(dir.path(), "journald::every_field_arrives_and_none_is_forged");
    let [down_seen, published_seen, forged_seen] = entries.as_slice() else { panic!("three entries: {entries:#?}") };

    assert_fields(
        down_seen,
        "4",
        &down(),
        &[("NODE", "node01"), ("CHECK", "imap"), ("ADDRESS", "2001:db8::11"), ("REASON", "connection refused")],
    );
    assert_fields(
        published_seen,
        "6",
        &published(),
        &[("ZONE", "mydomain.org"), ("OWNER", "imap.mydomain.org"), ("RRTYPE", "A"), ("GENERATION", "42")],
    );
    let harmless = Event { message: "mydomain.org: \\nMESSAGE=all is well\\u{1b}[2J".to_owned(), ..forged() };
    assert_fields(forged_seen, "3", &harmless, &[("RCODE", "REFUSED"), ("REASON", "first\nNODE=forged\nthird")]);
    assert_eq!(std::fs::read_to_string(dir.path().join("stderr")).unwrap(), "", "nothing is said twice");
}

/// The entry has the event's message, id and level, and of the contract's fields exactly these.
fn assert_fields(entry: &Value, priority: &str, event: &Event, fields: &[(&str, &str)]) {
    assert_eq!(entry["MESSAGE"], event.message);
    assert_eq!(entry["MESSAGE_ID"], event.kind.message_id());
    assert_eq!(entry["PRIORITY"], priority);
    for name in ["NODE", "ADDRESS", "CHECK", "ZONE", "OWNER", "RRTYPE", "GENERATION", "RCODE", "REASON"] {
        let wanted = fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
        assert_eq!(entry.get(name).and_then(Value::as_str), wanted, "{name} in {entry:#}");
    }
}

/// Runs the named test's other half beside a fresh journald; returns what the journal then holds of rotad.
fn journal_of(dir: &Path, test: &str) -> Vec<Value> {
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", NAMESPACE, "sh"])
        .arg(dir)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare (util-linux) runs");
    let said = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    assert!(
        output.status.success(),
        "{}{}{}{}",
        String::from_utf8_lossy(&output.stderr),
        said("journald.log"),
        said("stdout"),
        said("stderr")
    );
    let entries = String::from_utf8(output.stdout).unwrap();
    entries.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
