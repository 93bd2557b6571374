//! An HTTP exchange without a socket: what is asked, and the answer as it comes in (RFC 9112).

use std::{mem, sync::Arc};

use ureq_proto::{
    BodyMode, Error,
    client::{
        Call, RecvResponseResult, SendRequestResult,
        state::{RecvBody, RecvResponse},
    },
    http::{self, HeaderValue, Request, Response, header},
};

use super::{Http, Outcome};
use crate::check::text::LIMIT;

/// The most octets of an answer that are taken, however many pieces its body is cut into.
const MOST: usize = 4 * LIMIT;

/// What an accepted answer showed, or what a refused one says of the node.
pub type Verdict = Result<String, Outcome>;

/// What was heard of an answer so far. How the network cuts it makes no difference.
#[derive(Debug)]
pub struct Answer {
    question: Arc<Http>,
    part: Part,
    /// What was heard and not read yet.
    heard: Vec<u8>,
    /// How many octets were heard in all.
    total: usize,
    /// How many of them were interim answers (RFC 9110 section 15.2).
    interim: usize,
    /// What an accepted head showed.
    seen: String,
    /// Room for the body's beginning, once it is waited for.
    body: Vec<u8>,
    /// How much of that is filled.
    filled: usize,
}

/// What is to be heard.
#[derive(Debug)]
enum Part {
    Head(Call<RecvResponse>),
    Body(Call<RecvBody>),
    /// Nothing more.
    Over,
}

impl Http {
    /// The request to a node whose Host header is `host`, and what hears the answer.
    ///
    /// # Errors
    /// It cannot be put in words, which says nothing of the node.
    pub fn ask(self: &Arc<Self>, host: &str) -> Result<(Vec<u8>, Answer), Outcome> {
        let cannot = |why: String| Outcome::Unknown(format!("cannot ask: {why}"));
        let request = self.request(host).map_err(|error| cannot(error.to_string()))?;
        let (octets, call) =
            encode(request, self.path.len() + host.len()).map_err(|error| cannot(error.to_string()))?;
        let call = call.ok_or_else(|| cannot("the request is too long".to_owned()))?;
        let question = Arc::clone(self);
        let (heard, seen, body) = Default::default();
        Ok((octets, Answer { question, part: Part::Head(call), heard, total: 0, interim: 0, seen, body, filled: 0 }))
    }

    /// Without the builder of its crate, which moves the whole request at each step.
    fn request(&self, host: &str) -> Result<Request<()>, http::Error> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.as_str().parse()?;
        *request.uri_mut() = self.path.parse()?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, host.parse()?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("rotad/", env!("CARGO_PKG_VERSION"))));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok(request)
    }

    /// The verdict over an answer's head.
    fn judge(&self, head: &Response<()>) -> Verdict {
        let status = head.status().as_u16();
        if let Some(refused) = self.refuses_status(status) {
            return Err(refused);
        }
        if let Some(wanted) = &self.header {
            let values = head.headers().get_all(&wanted.name);
            if let Some(refused) = self.refuses_header(values.iter().map(HeaderValue::as_bytes)) {
                return Err(Outcome::Fail(refused));
            }
        }
        Ok(format!("status {status}"))
    }
}

/// A request as it goes out; `long`: how long its parts are that are not always the same.
fn encode(request: Request<()>, long: usize) -> Result<(Vec<u8>, Option<Call<RecvResponse>>), Error> {
    let mut call = Call::new(request)?.proceed();
    let mut octets = vec![0; 256 + long];
    let length = call.write(&mut octets)?;
    octets.truncate(length);
    let call = match call.proceed()? {
        Some(SendRequestResult::RecvResponse(call)) => Some(call),
        _ => None,
    };
    Ok((octets, call))
}

impl Answer {
    /// Takes what was read: the verdict as soon as it stands. Nothing counts after it.
    pub fn take(&mut self, octets: &[u8]) -> Option<Verdict> {
        let octets = octets.get(..MOST - self.total).unwrap_or(octets);
        self.total += octets.len();
        self.heard.extend_from_slice(octets);
        let too_much = || Err(garbled("more than 32 KiB for the body's first 8 KiB"));
        self.go_on().transpose().or_else(|| (self.total == MOST).then(too_much))
    }

    /// The verdict when the node has closed.
    ///
    /// # Errors
    /// More should have come, or what came is not accepted.
    pub fn end(&mut self) -> Verdict {
        let is_whole = match &self.part {
            Part::Body(call) => call.body_mode() == BodyMode::CloseDelimited || call.is_ended_chunked(),
            Part::Head(_) | Part::Over => false,
        };
        if is_whole { self.accept() } else { Err(Outcome::Fail("closed before the end of the answer".to_owned())) }
    }

    fn go_on(&mut self) -> Result<Option<String>, Outcome> {
        loop {
            let goes_on = match mem::replace(&mut self.part, Part::Over) {
                Part::Head(call) => self.head(call)?,
                Part::Body(call) => self.body(call)?,
                Part::Over => return self.accept().map(Some),
            };
            if !goes_on {
                return Ok(None);
            }
        }
    }

    /// Reads a head, an interim one perhaps; whether that leads on.
    fn head(&mut self, mut call: Call<RecvResponse>) -> Result<bool, Outcome> {
        let room = LIMIT.saturating_sub(self.interim);
        let octets = self.heard.get(..room).unwrap_or(&self.heard);
        let is_full = octets.len() == room;
        let (used, head) = call.try_response(octets, false).map_err(|error| unreadable(&error))?;
        self.heard.drain(..used);
        let Some(head) = head else {
            if used == 0 && is_full {
                return Err(garbled("more than 8 KiB before the end of a head"));
            }
            self.interim += used;
            self.part = Part::Head(call);
            return Ok(used > 0);
        };
        self.seen = self.question.judge(&head)?;
        if self.question.body.is_some()
            && let Some(RecvResponseResult::RecvBody(call)) = call.proceed()
        {
            self.part = Part::Body(call);
            self.body = vec![0; LIMIT];
        }
        Ok(true)
    }

    /// Reads of the body; whether that leads on.
    fn body(&mut self, mut call: Call<RecvBody>) -> Result<bool, Outcome> {
        let room = self.body.get_mut(self.filled..).unwrap_or_default();
        let (used, more) = match call.read(&self.heard, room) {
            Ok(read) => read,
            // What stands before the fault has shown enough, as it would have in a piece of its own. It is in the room, which
            // is zeros from there on.
            Err(_) if self.question.refuses_body(&self.body).is_none() => {
                self.filled = LIMIT;
                return Ok(true);
            }
            Err(error) => return Err(unreadable(&error)),
        };
        self.filled += more;
        self.heard.drain(..used);
        let has_ended = call.can_proceed() && call.body_mode() != BodyMode::CloseDelimited;
        // The rest of a page may be slow, or without end.
        if has_ended || self.filled == LIMIT || self.question.refuses_body(self.page()).is_none() {
            return Ok(true);
        }
        self.part = Part::Body(call);
        Ok(used > 0)
    }

    /// What was heard of the body.
    fn page(&self) -> &[u8] {
        self.body.get(..self.filled).unwrap_or_default()
    }

    /// The head is accepted, and so is the body unless it is asked for something that it does not have.
    fn accept(&mut self) -> Verdict {
        match self.question.refuses_body(self.page()) {
            Some(refused) => Err(Outcome::Fail(refused)),
            None => Ok(mem::take(&mut self.seen)),
        }
    }
}

fn unreadable(error: &Error) -> Outcome {
    match error {
        Error::HttpParseFail(why) => garbled(why),
        error => garbled(&error.to_string()),
    }
}

fn garbled(why: &str) -> Outcome {
    Outcome::Fail(format!("not HTTP: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::http::Method;

    fn question(body: Option<&str>) -> Arc<Http> {
        Arc::new(Http {
            port: 80,
            method: Method::Get,
            path: "/health?full=1".to_owned(),
            host: None,
            status: vec![200, 204],
            body: body.map(str::to_owned),
            header: None,
        })
    }

    /// The verdict over an answer that comes in portions of this size and then ends, and how many octets it took.
    fn hear(question: &Arc<Http>, said: &[u8], portion: usize) -> (Verdict, usize) {
        let (_, mut answer) = question.ask("node00").unwrap();
        let verdict = said.chunks(portion).find_map(|octets| answer.take(octets)).unwrap_or_else(|| answer.end());
        (verdict, answer.total)
    }

    #[test]
    fn the_request() {
        let (request, _) = question(None).ask("192.0.2.1").unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "GET /health?full=1 HTTP/1.1\r\nhost: 192.0.2.1\r\nuser-agent: rotad/{version}\r\naccept: */*\r\n\
             connection: close\r\n\r\n"
        );
        assert_eq!(String::from_utf8(request).unwrap(), expected);
        let long = Http { path: format!("/{}", "x".repeat(60_000)), ..(*question(None)).clone() };
        assert!(Arc::new(long).ask(&"x".repeat(255)).unwrap().0.ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn however_an_answer_is_cut_the_verdict_is_the_same() {
        let head = "HTTP/1.1 200 OK\r\n";
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        let pass = || Ok("status 200".to_owned());
        let fail = |why: &str| Err(Outcome::Fail(why.to_owned()));
        let closed = || fail("closed before the end of the answer");
        let absent = || fail("the body's first 8 KiB do not contain \"login\"");
        let too_long = || fail("not HTTP: more than 8 KiB before the end of a head");
        let room = LIMIT - "login".len();
        for (said, verdict) in [
            (format!("{head}Content-Length: 5\r\n\r\nlogin"), pass()),
            (format!("{head}\r\nlogin"), pass()),
            ("HTTP/1.0 200 OK\r\n\r\nlogin".to_owned(), pass()),
            (format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n{head}\r\nlogin"), pass()),
            (format!("{chunked}3;a=b\r\nlog\r\n2\r\nin\r\n0\r\nA: b\r\n\r\n"), pass()),
            (format!("{chunked}5\r\nlogin\r\n0\r\n"), pass()),
            (format!("{head}\r\n{}login", "x".repeat(room)), pass()),
            (format!("{head}\r\n{}login", "x".repeat(room + 1)), absent()),
            (format!("{head}Content-Length: 4\r\n\r\nlogin"), absent()),
            ("HTTP/1.1 204 No Content\r\n\r\nlogin".to_owned(), absent()),
            // It has shown enough.
            (format!("{head}Content-Length: 9\r\n\r\nlogin"), pass()),
            (format!("{chunked}5\r\nlogin\r\n"), pass()),
            (format!("{head}Content-Length: 9\r\n\r\nlogi"), closed()),
            (format!("{chunked}4\r\nlogi\r\n"), closed()),
            (head.to_owned(), closed()),
            (String::new(), closed()),
            ("HTTP/1.1 100 Continue\r\n\r\n".repeat(400), too_long()),
            (
                format!("{head}{}\r\nlogin", "A: b\r\n".repeat(1_400)),
                fail("not HTTP: http parse resulted in too many headers"),
            ),
            (format!("{head}A: {}\r\n\r\nlogin", "b".repeat(LIMIT)), too_long()),
            (format!("{chunked}zz\r\n"), fail("not HTTP: chunk length cannot be read as a number")),
            (
                format!("{chunked}{}", "1;meta\r\nx\r\n".repeat(4_000)),
                fail("not HTTP: more than 32 KiB for the body's first 8 KiB"),
            ),
            ("220 mx ESMTP\r\n".to_owned(), fail("not HTTP: invalid HTTP version")),
            ("HTTP/1.1 503 Busy\r\n\r\n".to_owned(), Err(Outcome::Busy("status 503".to_owned()))),
        ] {
            for portion in [1, 2, 3, 7, 100, 2048, usize::MAX] {
                let (found, taken) = hear(&question(Some("login")), said.as_bytes(), portion);
                assert_eq!(found, verdict, "in portions of {portion}: {said:.200}");
                assert!(taken <= MOST);
            }
        }
    }

    #[test]
    fn a_page_is_heard_until_it_has_shown_enough() {
        for said in ["HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let (_, mut answer) = question(Some("login")).ask("node00").unwrap();
            assert_eq!(answer.take(said.as_bytes()), None);
            assert_eq!(answer.take(b"<form id=log"), None);
            assert_eq!(answer.take(b"in>"), Some(Ok("status 200".to_owned())));
        }
    }

    #[test]
    fn a_body_that_nobody_asks_for_is_not_waited_for() {
        let (verdict, taken) = hear(&question(None), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nlogin", 1);
        assert_eq!((verdict, taken), (Ok("status 200".to_owned()), 38));
    }
}
