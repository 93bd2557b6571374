use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;

/// Looks at a path again and again until `ended`; every mode that was ever seen there.
fn modes(path: &Path, ended: &AtomicBool) -> std::collections::BTreeSet<u32> {
    let mut seen = std::collections::BTreeSet::new();
    while !ended.load(Ordering::Acquire) {
        seen.extend(fs::symlink_metadata(path).map(|found| found.permissions().mode() & 0o777));
    }
    seen
}

#[tokio::test]
async fn d7_the_mode_is_right_from_the_first_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let ended = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watch = scope.spawn(|| modes(&path, &ended));
        for _ in 0..500 {
            drop(bind(&path, 0o600).unwrap());
        }
        ended.store(true, Ordering::Release);
        watch.join().unwrap()
    });
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0o600]);
    let _listener = bind(&path, 0o666).unwrap();
    assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o666, "more than the umask leaves");
    tokio::net::UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn d6_what_is_in_its_place_is_no_link_and_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let words = |name: &str| bind(&at(name), 0o600).unwrap_err().to_string();
    fs::write(at("victim"), "kept").unwrap();
    let others = bind(&at("others"), 0o600).unwrap();
    for (name, to) in [("to-a-file", "victim"), ("to-a-socket", "others"), ("to-nothing", "nothing")] {
        symlink(to, at(name)).unwrap();
        assert!(words(name).contains("symbolic link"), "{}", words(name));
        assert!(at(name).is_symlink());
    }
    assert!(!at("nothing").exists());
    assert_eq!(fs::read_to_string(at("victim")).unwrap(), "kept");
    assert!(words("victim").contains("another file is in its place"));
    // Whose it is can be changed by root alone.
    if geteuid().is_root() {
        std::os::unix::fs::chown(at("others"), Some(65_534), None).unwrap();
        assert!(words("others").contains("a socket of uid 65534 is in its place"), "{}", words("others"));
    }
    drop(others);
}

#[tokio::test]
async fn d6_a_socket_that_somebody_listens_on_is_not_taken_and_only_our_own_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let (theirs, place) = bind(&path, 0o600).unwrap();
    let words = || bind(&path, 0o600).unwrap_err().to_string();
    assert!(words().contains("another program listens"), "{}", words());
    // However busy it is.
    let waiting = || std::os::unix::net::UnixStream::connect(&path).unwrap();
    let _clients: Vec<_> = (0..CLIENTS).map(|_| waiting()).collect();
    assert!(words().contains("another program listens"), "{}", words());
    // Who listened there is dead.
    drop(theirs);
    let (_ours, ours) = bind(&path, 0o600).unwrap();
    place.remove();
    assert!(path.exists(), "it is another one by now");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "kept").unwrap();
    ours.remove();
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    fs::remove_file(&path).unwrap();
    let (_last, place) = bind(&path, 0o600).unwrap();
    place.remove();
    assert!(!path.exists());
}

#[tokio::test]
async fn h6_who_says_nothing_gives_its_place_to_one_that_waits_and_who_has_spoken_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let (listener, _) = bind(&path, 0o600).unwrap();
    let answer = |mut client: UnixStream, spoken: Spoken| async move {
        let mut word = [0];
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut word).await?;
        spoken.set();
        if word == *b"w" {
            sleep(DEADLINE).await;
        }
        tokio::io::AsyncWriteExt::write_all(&mut client, b"answer").await
    };
    let server = tokio::spawn(serve(listener, Duration::from_mins(1), answer, std::future::pending()));
    let mut waits = UnixStream::connect(&path).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut waits, b"w").await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..3 * CLIENTS {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    let mut asks = UnixStream::connect(&path).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut asks, b"a").await.unwrap();
    let mut answer = String::new();
    let answered = timeout(DEADLINE, tokio::io::AsyncReadExt::read_to_string(&mut asks, &mut answer)).await;
    assert!(answered.is_ok() && answer == "answer", "{answer:?}");
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut waits, &mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    server.abort();
}
