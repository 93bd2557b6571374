//! One request; the answer's status and the beginning of its body. No redirect is followed, nothing is decompressed.

use std::{io, mem::MaybeUninit, net::IpAddr, os::fd::OwnedFd, sync::Arc};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use tokio::{
    io::AsyncReadExt,
    time::{error::Elapsed, timeout_at},
};

use super::{Talk, error, peer::Peer, tls};
use crate::check::{Http, Outcome, http::Answer};

/// Octets that are read at a time: an answer's head, mostly.
const PIECE: usize = 2048;

pub(super) async fn talk(mut peer: Peer, question: &Arc<Http>, address: IpAddr) -> Talk {
    let (request, answer) = question.ask(&question.host_header(address))?;
    peer.send(&request).await?;
    let (deadline, late) = (peer.deadline(), peer.late("answer"));
    let seen = timeout_at(deadline, hear(&mut peer, answer)).await.map_err(|Elapsed { .. }| late)??;
    peer.close().await;
    Ok(peer.pass(seen))
}

async fn hear(peer: &mut Peer, mut answer: Answer) -> Talk<String> {
    let mut piece = [0; PIECE];
    loop {
        match peer.wire.read(&mut piece).await {
            Ok(length) if length > 0 => {
                if let Some(verdict) = answer.take(piece.get(..length).unwrap_or_default()) {
                    return verdict;
                }
            }
            // A secured connection that ends without close_notify ends all the same.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(tls::refusal(&error)),
            _ => return answer.end(),
        }
    }
}

/// The same on a bare connection that does not block, whose owner watches it, keeps the time and ends it.
pub(super) struct Exchange {
    /// What is still to be sent.
    request: Vec<u8>,
    answer: Answer,
}

impl Exchange {
    pub(super) fn new(question: &Arc<Http>, address: IpAddr) -> Talk<Self> {
        let (request, answer) = question.ask(&question.host_header(address))?;
        Ok(Self { request, answer })
    }

    /// Goes on as far as that is possible: the outcome, or `None` until the socket's state has changed. `is_readable`: there
    /// may be something to read; to ask in vain costs as much as to read.
    pub(super) fn go_on(&mut self, socket: &OwnedFd, is_readable: bool) -> Option<Outcome> {
        while !self.request.is_empty() {
            match send(socket, &self.request, SendFlags::NOSIGNAL) {
                Ok(length) => drop(self.request.drain(..length)),
                Err(Errno::AGAIN) => break,
                Err(broken) => return Some(error::from_network(&broken.into())),
            }
        }
        if !is_readable {
            return None;
        }
        // It ends: an answer is heard to no more than a few of these pieces.
        loop {
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let verdict = match recv(socket, &mut piece, RecvFlags::empty()) {
                Ok((([], _), _)) => Some(self.answer.end()),
                Ok(((octets, _), _)) => self.answer.take(octets),
                Err(Errno::AGAIN) => return None,
                Err(broken) => return Some(error::from_network(&broken.into())),
            };
            if let Some(verdict) = verdict {
                return Some(verdict.map_or_else(|refused| refused, Outcome::Pass));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{Ipv4Addr, TcpListener},
        thread,
    };

    use rustix::net::{
        connect,
        sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size},
    };

    use super::*;
    use crate::{check::http::Method, io::probe::tcp};

    #[test]
    fn what_does_not_fit_at_once_is_sent_when_there_is_room() {
        let question = Arc::new(Http {
            port: 80,
            method: Method::Get,
            path: format!("/{}", "x".repeat(60_000)),
            host: None,
            status: vec![200],
            body: None,
            header: None,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = tcp::open(true).unwrap();
        set_socket_recv_buffer_size(&listener, 4096).unwrap();
        set_socket_send_buffer_size(&socket, 4096).unwrap();
        let _in_progress = connect(&socket, &listener.local_addr().unwrap());
        let (mut node, _) = listener.accept().unwrap();
        let mut exchange = Exchange::new(&question, Ipv4Addr::LOCALHOST.into()).unwrap();
        let whole = exchange.request.len();
        assert_eq!(exchange.go_on(&socket, false), None);
        assert!((1..whole).contains(&exchange.request.len()), "a part is left");

        let reader = thread::spawn(move || {
            let mut request = vec![0; whole];
            node.read_exact(&mut request).unwrap();
            node.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            (request, node)
        });
        let outcome = loop {
            if let Some(outcome) = exchange.go_on(&socket, true) {
                break outcome;
            }
            thread::yield_now();
        };
        assert_eq!(outcome, Outcome::Pass("status 200".to_owned()));
        assert!(reader.join().unwrap().0.ends_with(b"\r\n\r\n"));
    }
}
