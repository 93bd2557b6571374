//! Runs a monitoring plugin in a process group of its own, which ends with the probe.

use std::{
    io,
    net::IpAddr,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, process::ExitStatusExt},
    },
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::Mode,
    process::{Pid, PidfdFlags, Signal, geteuid, kill_process_group, pidfd_open},
};
use tokio::{
    io::{AsyncReadExt, unix::AsyncFd},
    process::{Child, ChildStdout, Command},
    sync::Semaphore,
    task::spawn_blocking,
    time::{error::Elapsed, timeout},
};

use crate::{
    check::{
        Exec, Outcome,
        exec::{End, LIMIT, verdict},
    },
    cluster::NodeName,
    io::clock,
    text,
};

/// Where a plugin finds the tools of the system. All else of our environment stays here.
const PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

pub(super) async fn run(plugin: &Exec, node: &NodeName, address: IpAddr, patience: Duration) -> Outcome {
    let program = text::path(&plugin.program);
    let begun = clock::now();
    let started = timeout(patience, start(plugin.clone(), node.clone(), address)).await;
    let mut running = match started {
        Ok(Ok(running)) => running,
        Ok(Err(refusal)) => return Outcome::Unknown(refusal),
        Err(Elapsed { .. }) => {
            let patience = humantime::format_duration(patience);
            return Outcome::Unknown(format!("{program} was not started in {patience}: does its file system hang?"));
        }
    };
    let left = patience.saturating_sub(clock::now().saturating_duration_since(begun));
    match timeout(left, running.watch()).await {
        Ok(Ok((status, output))) => {
            let end = status.code().map_or_else(|| End::Signal(status.signal().unwrap_or_default()), End::Exit);
            verdict(end, &output)
        }
        Ok(Err(error)) => Outcome::Unknown(format!("cannot watch {program}: {error}")),
        // It was begun, and what it waits for is the node.
        Err(Elapsed { .. }) => {
            Outcome::Fail(format!("the plugin did not end in {}", humantime::format_duration(patience)))
        }
    }
}

/// Plugins that may be on their way to be started: if their file system hangs, each of them holds a thread.
const STARTING: usize = 32;

/// Starts a plugin where that delays no other probe: its program, and the folders above it, may lie on a file system that
/// hangs.
async fn start(plugin: Exec, node: NodeName, address: IpAddr) -> Result<Running, String> {
    static ROOM: Semaphore = Semaphore::const_new(STARTING);
    let program = text::path(&plugin.program);
    let Ok(room) = ROOM.acquire().await else { return Err(format!("{program} is not run: rotad stops")) };
    let start = move || {
        // It is given back when the thread is, whoever still waits for it.
        let _room = room;
        let program = text::path(&plugin.program);
        if let Some(refusal) = is_anybodys(&plugin.program) {
            return Err(format!("{program} is not run: {refusal}"));
        }
        Running::start(&plugin, &node, address).map_err(|error| format!("cannot run {program}: {error}"))
    };
    spawn_blocking(start).await.unwrap_or_else(|error| Err(format!("cannot run {program}: {error}")))
}

/// Why a program is not run: somebody else than root and us could put another in its place. In a folder for all (`/tmp`)
/// each may take away what is his own: what lies there must be root's or ours.
fn is_anybodys(program: &Path) -> Option<String> {
    // What is not there is told when it is run.
    let real = program.canonicalize().ok()?;
    for path in real.ancestors().chain(program.ancestors()) {
        let (place, Ok(status), Ok(link)) = (text::path(path), path.metadata(), path.symlink_metadata()) else {
            continue;
        };
        let is_sticky = status.is_dir() && status.mode() & Mode::SVTX.bits() != 0;
        if status.mode() & Mode::WOTH.bits() != 0 && !is_sticky {
            return Some(format!("anybody may write {place}: chmod o-w {place}"));
        }
        let owners = [status.uid(), link.uid()];
        let is_ours = owners.iter().all(|uid| *uid == 0 || *uid == geteuid().as_raw());
        if !is_ours && path.parent().is_some_and(is_open) {
            return Some(format!("{place} lies in a folder for all and is not root's: move it to a folder of root's"));
        }
    }
    None
}

fn is_open(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|status| status.mode() & Mode::WOTH.bits() != 0)
}

/// A plugin that runs. Whoever drops it ends it, and all that it has started.
struct Running {
    child: Child,
    output: ChildStdout,
    /// Readable once the plugin has ended, before its process number is free for others.
    ended: AsyncFd<OwnedFd>,
    group: Pid,
}

impl Running {
    fn start(plugin: &Exec, node: &NodeName, address: IpAddr) -> io::Result<Self> {
        let mut child = Command::new(&plugin.program)
            .args(&plugin.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("NODE", node.as_str())
            .env("ADDRESS", address.to_string())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("it is gone already");
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or_else(gone)?;
        let output = child.stdout.take().ok_or_else(gone)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that may change their descriptor; this one cannot"
        )]
        let ended = AsyncFd::new(pidfd_open(group, PidfdFlags::empty())?)?;
        Ok(Self { child, output, ended, group })
    }

    /// Waits for the end of the plugin, not of what it has left behind: its status, and the beginning of its output.
    async fn watch(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut output = Vec::new();
        self.until_end(&mut output).await?;
        self.end_group();
        Ok((self.child.wait().await?, output))
    }

    async fn until_end(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        let mut portion = [0; LIMIT];
        while output.len() < LIMIT {
            tokio::select! {
                // First what was printed: it came before the end.
                biased;
                read = self.output.read(&mut portion) => match read? {
                    0 => break,
                    length => output.extend(portion.iter().take(length.min(LIMIT - output.len()))),
                },
                ended = self.ended.readable() => {
                    ended?.retain_ready();
                    return Ok(());
                }
            }
        }
        // The rest is read and forgotten, so that the plugin can go on.
        let mut is_open = true;
        loop {
            tokio::select! {
                read = self.output.read(&mut portion), if is_open => is_open = read? > 0,
                ended = self.ended.readable() => {
                    ended?.retain_ready();
                    return Ok(());
                }
            }
        }
    }

    fn end_group(&self) {
        // Nobody may be left of it.
        let _gone = kill_process_group(self.group, Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once it was waited for, its number may be somebody else's.
        if self.child.id().is_some() {
            self.end_group();
        }
    }
}
