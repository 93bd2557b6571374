//! Runs a monitoring plugin in a process group of its own, which ends with the probe.

use std::{
    io,
    net::IpAddr,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::{
    io::{AsyncReadExt, unix::AsyncFd},
    process::{Child, ChildStdout, Command},
    time::{error::Elapsed, timeout},
};

use crate::{
    check::{
        Exec, Outcome,
        exec::{End, LIMIT, verdict},
    },
    cluster::NodeName,
};

/// Where a plugin finds the tools of the system. All else of our environment stays here.
const PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

pub(super) async fn run(plugin: &Exec, node: &NodeName, address: IpAddr, patience: Duration) -> Outcome {
    let program = plugin.program.display();
    let mut running = match Running::start(plugin, node, address) {
        Ok(running) => running,
        Err(error) => return Outcome::Unknown(format!("cannot run {program}: {error}")),
    };
    match timeout(patience, running.watch()).await {
        Ok(Ok((status, output))) => {
            let end = status.code().map_or_else(|| End::Signal(status.signal().unwrap_or_default()), End::Exit);
            verdict(end, &output)
        }
        Ok(Err(error)) => Outcome::Unknown(format!("cannot watch {program}: {error}")),
        Err(Elapsed { .. }) => {
            Outcome::Unknown(format!("the plugin did not end in {}", humantime::format_duration(patience)))
        }
    }
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
