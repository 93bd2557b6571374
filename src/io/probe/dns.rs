//! One datagram to the node, and its answer.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::op::Message;
use tokio::{
    net::UdpSocket,
    time::{error::Elapsed, timeout},
};

use super::{Talk, error};
use crate::check::{Dns, Outcome};

/// Octets of an answer without EDNS at most (RFC 1035 section 4.2.1).
const LIMIT: usize = 512;

pub(super) async fn ask(question: &Dns, address: IpAddr, patience: Duration) -> Talk {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(question.query());
    let query = message.to_vec().map_err(|error| Outcome::Unknown(format!("cannot ask: {error}")))?;
    let answer = exchange(address, question.port, &query, |datagram| question.verdict(message.metadata.id, datagram));
    match timeout(patience, answer).await {
        Ok(Ok(Ok(seen))) => Ok(Outcome::Pass(seen)),
        Ok(Ok(Err(refused))) => Err(Outcome::Fail(refused)),
        Ok(Err(refusal)) => Err(refusal),
        Err(Elapsed { .. }) => Err(Outcome::Fail(format!("no answer in {}", humantime::format_duration(patience)))),
    }
}

/// Sends a datagram, and gives those that come back to `take` until that makes something of one.
async fn exchange<T>(address: IpAddr, port: u16, datagram: &[u8], mut take: impl FnMut(&[u8]) -> Option<T>) -> Talk<T> {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connected: the kernel drops what others send, and tells of a closed port.
    let begin = async {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
        socket.connect((address, port)).await?;
        socket.send(datagram).await?;
        Ok(socket)
    };
    let socket = begin.await.map_err(|refused| error::at_once(&refused))?;
    let mut answer = [0; LIMIT];
    loop {
        let length = socket.recv(&mut answer).await.map_err(|broken| error::from_network(&broken))?;
        if let Some(taken) = take(answer.get(..length).unwrap_or_default()) {
            return Ok(taken);
        }
    }
}
