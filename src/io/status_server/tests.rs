use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::SystemTime};

use tokio::{io::AsyncReadExt, task::JoinSet};

use super::*;
use crate::{
    io::local_socket::CLIENTS,
    status::{Config, Mode, Stamp, Zone, ZoneState},
};

fn bind(path: &Path) -> io::Result<UnixListener> {
    Ok(local_socket::bind(path, MODE)?.0)
}

/// A snapshot that no socket buffer swallows.
fn large() -> Arc<Status> {
    let stamp = Stamp(SystemTime::UNIX_EPOCH);
    let zone = |number| Zone {
        server: String::new(),
        zone: format!("d{number}.org"),
        state: ZoneState::InSync,
        generation: Some(number),
        serial: Some(1),
        error: None,
        foreign: Vec::new(),
    };
    Arc::new(Status {
        version: "0.1.0".to_owned(),
        time: stamp,
        mode: Mode::Active,
        blocked: Vec::new(),
        hold: None,
        config: Config {
            file: "cluster.yaml".into(),
            loaded_at: stamp,
            hash: String::new(),
            error: None,
            held_edit: None,
        },
        nodes: vec![],
        zones: (0..4_000).map(zone).collect(),
        short: vec![],
        left_over: vec![],
        servers: vec![],
    })
}

/// A server with a daemon that answers; both end with the returned tasks.
fn serve(path: &Path) -> JoinSet<()> {
    let (requests, mut wishes) = mpsc::channel::<Request>(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(run(bind(path).unwrap(), requests, std::future::pending()));
    tasks.spawn(async move {
        let status = large();
        while let Some(wish) = wishes.recv().await {
            let _ = wish.send(Arc::clone(&status));
        }
    });
    tasks
}

async fn read(path: &Path) -> Status {
    let mut document = String::new();
    UnixStream::connect(path).await.unwrap().read_to_string(&mut document).await.unwrap();
    serde_json::from_str(&document).unwrap()
}

#[tokio::test]
async fn one_document_then_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let _tasks = serve(&path);
    assert_eq!(read(&path).await, *large());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    drop(bind(&path).unwrap());
    drop(bind(&path).unwrap());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    assert_eq!(bind(&path).unwrap_err().to_string(), "another file is in its place");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn garbage_is_tolerated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let _tasks = serve(&path);
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\0\xff\r\n\r\n").await.unwrap();
    let mut document = Vec::new();
    client.read_to_end(&mut document).await.unwrap();
    assert_eq!(serde_json::from_slice::<Status>(&document).unwrap(), *large());
}

/// Clients that never read take every seat; time is paused, so their deadline passes as soon as nothing else moves.
#[tokio::test(start_paused = true)]
async fn silent_clients_do_not_shut_others_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let _tasks = serve(&path);
    let mut silent = Vec::new();
    for _ in 0..CLIENTS + 8 {
        silent.push(UnixStream::connect(&path).await.unwrap());
    }
    assert_eq!(read(&path).await, *large());
}

#[tokio::test]
async fn the_end_of_the_daemon_ends_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let (requests, wishes) = mpsc::channel::<Request>(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(run(bind(&path).unwrap(), requests, async {
        let _ = stopped.await;
    }));
    drop(wishes);
    let mut document = Vec::new();
    UnixStream::connect(&path).await.unwrap().read_to_end(&mut document).await.unwrap();
    assert!(document.is_empty());
    drop(stop);
    server.await.unwrap();
}
