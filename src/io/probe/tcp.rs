//! Whether a connection is accepted, and nothing more.
//!
//! The kernel answers for the node, so its program need not be troubled: our side holds back the last packet of the
//! handshake, and a reset takes its place. A program that accepts sees nothing of us, and no socket lingers on either
//! side. Should the kernel not hold it back, the program sees a connection that ends at once.

use std::{io, net::SocketAddr, time::Duration};

use rustix::{
    fd::OwnedFd,
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
    let connected = async {
        let stream = TcpStream::from_std(begin(at)?.into())?;
        stream.writable().await?;
        stream.take_error()?.map_or(Ok(()), Err)
    };
    match timeout(patience, connected).await {
        Ok(found) => verdict(found),
        Err(Elapsed { .. }) => unconnected(patience),
    }
}

/// Begins to connect; whoever closes the socket is gone without a trace.
pub(super) fn begin(at: SocketAddr) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    set_tcp_quickack(&socket, false)?;
    set_socket_linger(&socket, Some(Duration::ZERO))?;
    match connect(&socket, &at) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
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
