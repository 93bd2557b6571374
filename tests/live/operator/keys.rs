//! Keys: which are taken, how one follows another, and that their secrets stay secret.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

/// The key file becomes these clauses, as a careful person writes it.
fn write_keys(rota: &Rota, clauses: &str) {
    let new = rota.path().join("new.key");
    fs::write(&new, clauses).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, rota.path().join("rotad.key")).unwrap();
}

fn clause(rota: &Rota, key: &str) -> String {
    fs::read_to_string(rota.named.key_file(key)).unwrap()
}

fn secret(clause: &str) -> &str {
    clause.split('"').find(|part| part.len() > 20 && part.ends_with('=')).expect("a base64 secret")
}

fn with_keys(keys: &[(&str, &str)]) -> Rota {
    let allowed: Vec<_> = keys.iter().map(|(key, _)| format!("key {key};")).collect();
    let zone =
        Zone::read_only("mydomain.org").statement(&format!("allow-update {{ key rotad; {} }};", allowed.join(" ")));
    let builder = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]");
    let builder = keys.iter().fold(builder, |builder, (key, algorithm)| builder.key(key, algorithm));
    builder.zone("mydomain.org", zone).build()
}

/// BIND is to know the key "rotad" no more.
fn take_out_old_key(rota: &Rota) {
    let conf = rota.named.path().join("named.conf");
    let text = fs::read_to_string(&conf).unwrap().replace("include \"rotad.key\";\n", "");
    fs::write(&conf, text).unwrap();
}

/// From now on it does not.
fn forget_old_key(rota: &Rota) {
    take_out_old_key(rota);
    rota.named.rndc(&["reconfig"]).unwrap();
}

#[test]
fn weak_keys_are_taken_only_where_the_file_says_so() {
    for algorithm in ["hmac-md5", "hmac-sha1"] {
        let mut rota = with_keys(&[("weak", algorithm)]);
        write_keys(&rota, &clause(&rota, "weak"));
        for command in ["run", "plan", "apply", "doctor"] {
            let ran = rota.run(&[command]);
            assert_eq!(ran.code, 78, "{command}: {ran:?}");
            let part = format!("key \"weak\" uses {algorithm}, which is weak");
            assert!(ran.err.contains(&part) && ran.err.contains("allow_weak_keys"), "{ran:?}");
        }
        rota.edit("key_file: rotad.key", "key_file: rotad.key, allow_weak_keys: true");
        assert_eq!(rota.run(&["doctor"]).code, 0);
        rota.start();
        rota.expect_in_sync();
    }
}

#[test]
fn one_key_follows_another_without_a_gap_or_a_restart() {
    let mut rota = with_keys(&[("next", "hmac-sha512")]);
    rota.start();
    rota.expect_in_sync();
    let (old, next) = (clause(&rota, "rotad"), clause(&rota, "next"));
    write_keys(&rota, &format!("{old}{next}"));
    rota.expect_journal("the key file was read anew");

    // BIND forgets the old key.
    forget_old_key(&rota);
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_journal("named does not know key \"rotad\"");
    rota.expect_journal("is accepted and used from now on");

    // A file that is no key file changes nothing.
    write_keys(&rota, &next.replace(';', ""));
    rota.expect_journal("the keys before stay in force");
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);

    write_keys(&rota, &next);
    rota.eventually("the new file is read", |rota| rota.journal().matches("the key file was read anew").count() == 2);
    rota.kill("node00");
    rota.expect_a("imap.mydomain.org", ["node01"]);
    rota.expect_in_sync();
    assert!(!rota.journal().contains(secret(&old)) && !rota.journal().contains(secret(&next)));
}

#[test]
fn a_secret_is_in_no_output_and_in_no_core() {
    let mut rota = Rota::new()
        .log("trace")
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .domain("other.org", "services: [imap]")
        .zone("other.org", Zone::read_only("other.org"))
        .build();
    // "marker-of-a-secret-that-bind-does-not-have", and the one that it has.
    let marker = "bWFya2VyLW9mLWEtc2VjcmV0LXRoYXQtYmluZC1kb2VzLW5vdC1oYXZl";
    let good = clause(&rota, "rotad");
    let wrong = good.replace(secret(&good), marker).replace("\"rotad\"", "\"marked\"");
    let secrets = [secret(&good), marker, "marker-of-a-secret"];
    write_keys(&rota, &format!("{wrong}{good}"));
    rota.start();
    rota.expect_zone_state("mydomain.org", "in_sync");
    rota.expect_zone_state("other.org", "failing");
    let limits = fs::read_to_string(format!("/proc/{}/limits", rota.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");

    let mut outputs = Vec::new();
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["validate", "--json"],
        &["apply"],
        &["hold", "--reason", "why"],
    ] {
        outputs.push((format!("{command:?}"), format!("{:?}", rota.run(command))));
    }
    // Files that are broken, while it runs and at a start.
    for (number, broken) in
        [wrong.replace(';', ""), wrong.replace("hmac-sha256", "hmac-none"), marker.to_owned()].iter().enumerate()
    {
        write_keys(&rota, broken);
        rota.eventually("it is told", |rota| {
            rota.journal().matches("the keys before stay in force").count() == number + 1
        });
        outputs.push((format!("start with broken file {number}"), format!("{:?}", rota.run(&["plan"]))));
    }
    rota.stop();
    outputs.push(("the journal".to_owned(), rota.journal()));
    for entry in fs::read_dir(rota.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        outputs.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
    }
    assert!(outputs.iter().any(|(_, text)| text.contains("mydomain.org")), "something was said");
    for (name, text) in outputs {
        for secret in secrets {
            assert!(!text.contains(secret), "{name}");
        }
    }
}

#[test]
fn c5_another_key_file_is_loaded_and_tried_at_once() {
    let mut rota = with_keys(&[("next", "hmac-sha512")]);
    rota.start();
    rota.expect_in_sync();
    let copy = |rota: &Rota, from: &str, to: &str| {
        let path = rota.path().join(to);
        fs::write(&path, clause(rota, from)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    copy(&rota, "next", "next.key");
    rota.edit("key_file: rotad.key", "key_file: next.key");
    rota.expect_journal("the key file was read anew: key \"next\" (hmac-sha512, from ");
    assert!(!rota.journal().contains("KeyLabel"), "{}", rota.journal());
    assert!(!rota.journal().contains("BADKEY"), "{}", rota.journal());
    // Only the new key is taken by now.
    forget_old_key(&rota);
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);

    // A key that BIND does not know: one line, and the one before is used on.
    copy(&rota, "rotad", "old.key");
    rota.edit("key_file: next.key", "key_file: old.key");
    rota.expect_journal("BIND refuses the keys that the file gives now: ");
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    assert_eq!(rota.journal().matches("BIND refuses the keys").count(), 1, "{}", rota.journal());
}

#[test]
fn c5_keys_that_nobody_can_try_wait_and_those_before_stay_in_force() {
    let mut rota = with_keys(&[("next", "hmac-sha512")]);
    rota.start();
    rota.expect_in_sync();
    let (old, next) = (clause(&rota, "rotad"), clause(&rota, "next"));
    let expect_untried = |rota: &mut Rota| {
        rota.eventually("the status says that they are not tried", |rota| {
            let status = rota.status();
            let error = status["config"]["error"].as_str().unwrap_or_default();
            error.contains("are not tried as yet: ") && error.ends_with("the keys before stay in force")
        });
    };
    // A slip in the secret, saved just while BIND is restarted.
    rota.named.kill();
    write_keys(&rota, &old.replace(secret(&old), secret(&next)));
    expect_untried(&mut rota);
    rota.kill("node01");
    rota.named.restart();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_journal("BIND refuses the keys that the file gives now: ");
    rota.expect_in_sync();
    assert!(!rota.journal().contains("the key file was read anew"), "{}", rota.journal());

    // BIND comes back with the next key alone: it is taken as soon as BIND says so.
    rota.named.kill();
    write_keys(&rota, &next);
    expect_untried(&mut rota);
    take_out_old_key(&rota);
    rota.named.restart();
    rota.expect_journal("the key file was read anew: key \"next\"");
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    rota.eventually("no error is left", |rota| rota.status()["config"]["error"].is_null());
}

#[test]
fn h10_a_forged_key_error_in_a_rollover_makes_no_rival_of_our_own_message() {
    let zone = Zone::read_only("mydomain.org").statement("allow-update { key rotad; key next; };");
    let builder = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").proxy();
    let mut rota = builder.key("next", "hmac-sha512").zone("mydomain.org", zone).build();
    write_keys(&rota, &(clause(&rota, "rotad") + &clause(&rota, "next")));
    rota.start();
    rota.expect_in_sync();
    // From its second message on, none of an earlier life may be late.
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    let serial = rota.serial("mydomain.org");
    // BIND applies the message, and somebody on the way makes a refusal of its answer (NOTAUTH, and BADKEY in the last
    // four octets but two: RFC 8945 section 4.2). Nobody signs such an answer.
    rota.proxy().once(
        Which::UpdateAnswer,
        Fate::Replace(|answer| {
            let mut forged = answer.to_vec();
            let error = forged.len() - 3;
            forged[3] = 9;
            forged[error] = 17;
            forged
        }),
    );
    rota.kill("node01");
    rota.expect_journal("(BADKEY)");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
    assert_eq!(rota.serial("mydomain.org"), serial + 1);
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    assert!(!rota.journal().contains("standby") && !rota.journal().contains("a copy of"), "{}", rota.journal());
}

#[test]
fn c7_how_bind_is_used_is_live_and_what_is_not_says_so() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    rota.edit("timeout: 2s }", "timeout: 1s, connections: 2, max_in_flight: 8 }");
    rota.expect_journal("was read: bind.timeout changed, bind.connections changed, bind.max_in_flight changed");
    assert!(!rota.journal().contains("systemctl restart"), "{}", rota.journal());
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    // The new time counts: BIND is given up after it.
    rota.named.pause();
    rota.revive("node01");
    rota.expect_journal("no answer in 1s");
    rota.named.resume();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    // What is taken only at a start is told, by `reload` too; not once more when it is taken back.
    let wants = |rota: &Rota| rota.journal().matches("only at a start: systemctl restart rotad").count();
    let (before, socket) = (rota.yaml(), rota.path().join("other.sock"));
    rota.edit("status_socket: ", &format!("status_socket: {} # ", socket.display()));
    rota.expect_journal("status_socket changed, which is taken only at a start: systemctl restart rotad");
    rota.edit("timeout: 1s", "timeout: 2s");
    rota.expect_journal("was read: bind.timeout changed");
    assert_eq!(wants(&rota), 1, "{}", rota.journal());
    rota.write(&before);
    rota.expect_journal("was read: status_socket taken back");
    assert_eq!(wants(&rota), 1, "{}", rota.journal());
    let ran = rota.run(&["reload"]);
    assert!(ran.code == 0 && !ran.out.contains("restart"), "{ran:?}");
    rota.edit("server: \"127.0.0.1:", "server: \"127.0.0.2:");
    let ran = rota.run(&["reload"]);
    assert!(ran.code == 0 && ran.out.contains("bind.server changed, which is taken only at a start"), "{ran:?}");
}

#[test]
fn h5_another_name_of_the_cluster_is_refused_while_it_runs_for_no_start_would_take_it() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    rota.edit("cluster: mail", "cluster: other");
    rota.expect_journal("an edit is refused, what was in force stays: ");
    let ran = rota.run(&["reload"]);
    assert_eq!(ran.code, 78, "{ran:?}");
    let said = ran.out + &ran.err;
    assert!(said.contains("is another name than \"mail\", as which rotad runs"), "{said}");
    assert!(!rota.journal().contains("systemctl restart"), "{}", rota.journal());
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.edit("cluster: other", "cluster: mail");
    assert_eq!(rota.run(&["reload"]).code, 0);
    rota.eventually("no error is left", |rota| rota.status()["config"]["error"].is_null());
    rota.restart();
    rota.expect_a("imap.mydomain.org", ["node00"]);
}
