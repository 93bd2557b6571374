//! Whether a connection is accepted, and nothing more.
//!
//! The kernel answers for the node, so its program need not be troubled: our side holds back the last packet of the
//! handshake, and a reset takes its place. A program that accepts sees nothing of us, and no socket lingers on either
//! side. Should the kernel not hold it back, the program sees a connection that ends at once.

use std::{io, net::SocketAddr, time::Duration};

use rustix::net::sockopt::set_tcp_quickack;
use tokio::{
    net::TcpSocket,
    time::{error::Elapsed, timeout},
};

use super::{blame, peer::unconnected};
use crate::check::Outcome;

/// Connects, and is gone.
pub(super) async fn knock(at: SocketAddr, patience: Duration) -> Outcome {
    match timeout(patience, connect(at)).await {
        Ok(Ok(())) => Outcome::Pass("connection accepted".to_owned()),
        Ok(Err(error)) => blame(&error),
        Err(Elapsed { .. }) => unconnected(patience),
    }
}

async fn connect(at: SocketAddr) -> io::Result<()> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    set_tcp_quickack(&socket, false)?;
    socket.connect(at).await?.set_zero_linger()
}
