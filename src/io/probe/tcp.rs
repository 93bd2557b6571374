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
        AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with,
        sockopt::{set_socket_linger, set_tcp_quickack},
    },
};
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

use super::{blame, peer::unconnected};
use crate::check::Outcome;

/// Connects, and is gone.
pub(super) async fn knock(at: SocketAddr, patience: Duration) -> Outcome {
    let connect = async {
        let socket = open(at.is_ipv4())?;
        set_socket_linger(&socket, Some(Duration::ZERO))?;
        begin(&socket, at)?;
        let stream = TcpStream::from_std(socket.into())?;
        stream.writable().await?;
        stream.take_error()?.map_or(Ok(()), Err)
    };
    match timeout(patience, connect).await {
        Ok(found) => verdict(found),
        Err(Elapsed { .. }) => unconnected(patience),
    }
}

/// A socket, connected to nobody.
pub(super) fn open(is_ipv4: bool) -> io::Result<OwnedFd> {
    let family = if is_ipv4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?)
}

/// Begins to connect.
pub(super) fn begin(socket: &OwnedFd, at: SocketAddr) -> io::Result<()> {
    set_tcp_quickack(socket, false)?;
    match connect(socket, &at) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a connection says that was made or refused.
pub(super) fn verdict(connected: io::Result<()>) -> Outcome {
    match connected {
        Ok(()) => Outcome::Pass("connection accepted".to_owned()),
        Err(error) => blame(&error),
    }
}
