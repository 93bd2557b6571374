//! Events on a stream that is not the journal's: plain lines, and no waiting for a reader.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rotad::{
    event::{Event, Kind},
    io::journal,
};

/// Tells a test's other half that it is that half.
const INSIDE: &str = "ROTAD_TEST_INSIDE";

/// Longer than anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

fn other_half(test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        // Names no stream of ours: what a daemon inherits that somebody redirected.
        .env("JOURNAL_STREAM", "1:1")
        .env_remove("ROTAD_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn lines_have_time_level_and_message() {
    if std::env::var_os(INSIDE).is_some() {
        let farewell = journal::init().unwrap();
        journal::emit(&Event::new(Kind::CheckUp, "node01 imap (192.0.2.11) is up").reason("* OK"));
        journal::emit(&Event::new(Kind::CheckDown, "node01 imap is down: banner \"a\nforged\u{1b}[2J\""));
        for _ in 0..58 {
            journal::emit(&Event::new(Kind::PrimaryLost, "BIND at 127.0.0.1:53 cannot be reached: connection refused"));
        }
        drop(farewell);
        return;
    }
    let output = other_half("plain::lines_have_time_level_and_message").wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<(&str, &str)> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    for (time, _) in &lines {
        humantime::parse_rfc3339(time).unwrap();
    }
    let folded = lines.last().unwrap().1;
    let lines: Vec<&str> = lines.iter().map(|(_, rest)| *rest).collect();
    assert_eq!(
        lines[..3],
        [
            "node01 imap (192.0.2.11) is up",
            "warning: node01 imap is down: banner \"a\\nforged\\u{1b}[2J\"",
            "error: BIND at 127.0.0.1:53 cannot be reached: connection refused",
        ]
    );
    let (head, tail) = folded.split_once(" (57 times in ").unwrap();
    assert_eq!(head, lines[2]);
    assert!(tail.ends_with("s)"), "{tail}");
    assert_eq!(lines.len(), 4, "{text}");
}

/// Nobody reads the pipe while more is written than it and the queue hold; whoever reads later is told of the loss.
#[test]
fn a_pipe_that_nobody_reads_stops_nothing() {
    if std::env::var_os(INSIDE).is_some() {
        let farewell = journal::init().unwrap();
        for number in 0..100_000 {
            journal::emit(&Event::new(Kind::Published, format!("line {number}")));
        }
        println!("not stopped");
        // The reader begins now; the loss is told when the queue moves again.
        std::io::stdin().read_exact(&mut [0]).unwrap();
        drop(farewell);
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "plain::a_pipe_that_nobody_reads_stops_nothing", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (told, hears) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        while !text.contains("not stopped") {
            let mut some = [0; 512];
            let length = stdout.read(&mut some).unwrap();
            assert!(length > 0, "ended early: {text}");
            text.push_str(&String::from_utf8_lossy(&some[..length]));
        }
        told.send(stdout).unwrap();
    });
    let stdout = hears.recv_timeout(DEADLINE);
    if stdout.is_err() {
        child.kill().unwrap();
    }
    let _stdout = stdout.expect("emit waits for nobody");
    drop(child.stdin.take().map(|mut stdin| std::io::Write::write_all(&mut stdin, b"\n")));
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    assert!(text.contains(" line 0\n"), "{}", &text[..200.min(text.len())]);
    assert!(text.contains("lines were lost: the journal did not take them in time\n"), "{} bytes", text.len());
    assert!(!text.contains(" line 99999\n"), "the queue is bounded");
}
