//! One request; the answer's status and the beginning of its body. No redirect is followed, nothing is decompressed.

use std::{error::Error, io, net::IpAddr};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::time::{error::Elapsed, timeout_at};

use super::{
    Talk, blame,
    peer::{Peer, Wire},
};
use crate::check::{Http, Outcome, text::LIMIT};

pub(super) async fn talk(mut peer: Peer, question: &Http, address: IpAddr) -> Talk {
    let (deadline, late) = (peer.deadline(), peer.late("answer"));
    let status = match timeout_at(deadline, exchange(&mut peer.wire, question, address)).await {
        Ok(verdict) => verdict?,
        Err(Elapsed { .. }) => return Err(late),
    };
    peer.close().await;
    Ok(peer.pass(accepted(status)))
}

/// The same on a bare connection whose owner keeps the time and ends it.
pub(super) async fn ask(wire: impl Wire, question: &Http, address: IpAddr) -> Talk {
    exchange(wire, question, address).await.map(|status| Outcome::Pass(accepted(status)))
}

fn accepted(status: u16) -> String {
    format!("status {status}")
}

async fn exchange(wire: impl Wire, question: &Http, address: IpAddr) -> Talk<u16> {
    let request = Request::builder()
        .method(question.method.as_str())
        .uri(&question.path)
        .header(header::HOST, question.host_header(address))
        .header(header::USER_AGENT, concat!("rotad/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Outcome::Unknown(format!("cannot ask: {error}")))?;
    let (mut sender, connection) = http1::Builder::new()
        // The head of the answer: hyper's smallest.
        .max_buf_size(LIMIT)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|error| refusal(&error))?;
    let answer = async { judge(sender.send_request(request).await?, question).await };
    tokio::pin!(answer);
    let verdict = tokio::select! {
        verdict = &mut answer => verdict,
        // How the connection ends is the business of its owner.
        closed = connection.without_shutdown() => match (answer.await, closed) {
            // A node that speaks before it is asked: the request learns only that it was cancelled.
            (Err(told), Err(why)) if told.is_canceled() => Err(why),
            (verdict, _) => verdict,
        },
    };
    verdict.unwrap_or_else(|error| Err(refusal(&error)))
}

/// The verdict over an answer that comes in whole; hyper's error over one that does not.
async fn judge(mut response: Response<Incoming>, question: &Http) -> hyper::Result<Talk<u16>> {
    let status = response.status().as_u16();
    if let Some(refused) = question.refuses_status(status) {
        return Ok(Err(refused));
    }
    if let Some(wanted) = &question.header {
        let values = response.headers().get_all(&wanted.name);
        if let Some(refused) = question.refuses_header(values.iter().map(HeaderValue::as_bytes)) {
            return Ok(Err(Outcome::Fail(refused)));
        }
    }
    if question.body.is_some() {
        let mut body = Vec::new();
        while body.len() < LIMIT
            && let Some(frame) = response.frame().await
        {
            if let Ok(data) = frame?.into_data() {
                body.extend(data.iter().take(LIMIT - body.len()));
            }
        }
        if let Some(refused) = question.refuses_body(&body) {
            return Ok(Err(Outcome::Fail(refused)));
        }
    }
    Ok(Ok(status))
}

/// What hyper's error says of the node, or of us.
fn refusal(error: &hyper::Error) -> Outcome {
    let source = error.source();
    // What cancelled a request is one error further down.
    if let Some(cause) = source.and_then(|source| source.downcast_ref::<hyper::Error>()) {
        return refusal(cause);
    }
    // The system's own errors have a number; the others that hyper wraps are about what the node sent.
    match source.and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(cause) if cause.raw_os_error().is_some() => blame(cause),
        Some(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => closed(),
        Some(cause) => Outcome::Fail(format!("not HTTP: {cause}")),
        None if error.is_incomplete_message() || error.is_canceled() => closed(),
        None => Outcome::Fail(format!("not HTTP: {error}")),
    }
}

fn closed() -> Outcome {
    Outcome::Fail("closed before the end of the answer".to_owned())
}
