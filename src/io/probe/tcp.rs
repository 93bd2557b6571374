//! Whether a connection is accepted, and nothing more.
//!
//! The kernel answers for the node, so its program need not be troubled: our side holds back the last packet of the
//! handshake, and a reset takes its place. A program that accepts sees nothing of us, and no socket lingers on either
//! side. Should the kernel not hold it back, the program sees a connection that ends at once.

use std::{io, net::SocketAddr, time::Duration};

use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        self, AddressFamily, SocketFlags, SocketType, ipproto, socket_with,
        sockopt::{set_socket_linger, set_tcp_quickack},
    },
};
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

use super::{Talk, error, peer::unconnected};
use crate::check::Outcome;

/// Connects, and is gone.
pub(super) async fn knock(at: SocketAddr, patience: Duration) -> Outcome {
    let prepare = |socket: &OwnedFd| {
        set_socket_linger(socket, Some(Duration::ZERO))?;
        hold_back(socket)
    };
    match timeout(patience, connect(at, prepare)).await {
        Ok(Ok(_accepted)) => accepted(),
        Ok(Err(refusal)) => refusal,
        Err(Elapsed { .. }) => unconnected(patience),
    }
}

/// Connects. Tokio's own way would not tell what the system says at once from what the network brings back.
pub(super) async fn connect(at: SocketAddr, prepare: impl Fn(&OwnedFd) -> io::Result<()>) -> Talk<TcpStream> {
    let begun = open(at.is_ipv4()).and_then(|socket| {
        prepare(&socket)?;
        begin(&socket, at)?;
        TcpStream::from_std(socket.into())
    });
    let stream = begun.map_err(|refused| error::at_once(&refused))?;
    stream.writable().await.map_err(|refused| error::at_once(&refused))?;
    match stream.take_error() {
        Ok(None) => Ok(stream),
        Ok(Some(refused)) => Err(error::from_network(&refused)),
        Err(refused) => Err(error::at_once(&refused)),
    }
}

/// A socket, connected to nobody.
pub(super) fn open(is_ipv4: bool) -> io::Result<OwnedFd> {
    let family = if is_ipv4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?)
}

/// Has the kernel hold back the last packet of the handshake, for what is sent next takes its place.
pub(super) fn hold_back(socket: &OwnedFd) -> io::Result<()> {
    Ok(set_tcp_quickack(socket, false)?)
}

/// Begins to connect. An error is what the system says at once.
pub(super) fn begin(socket: &OwnedFd, at: SocketAddr) -> io::Result<()> {
    match net::connect(socket, &at) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The pass of a node that takes connections.
pub(super) fn accepted() -> Outcome {
    Outcome::Pass("connection accepted".to_owned())
}
