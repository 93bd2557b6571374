//! A conversation on a socket that somebody else watches: no task, no timer and no registration of its own.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
};

use crate::check::Outcome;

/// Reads one after the other, and polls at a time: who sends without end holds up no other probe.
const AT_A_TIME: usize = 16;

/// A socket that does not block. Who waits for it is to be polled when its state has changed: it wakes nobody.
pub(super) struct Watched {
    socket: Arc<OwnedFd>,
    reads: usize,
}

/// A connection, told of as it goes on.
pub(super) struct Conversation {
    talk: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    again: Arc<Again>,
    waker: Waker,
}

/// Whether somebody was woken.
#[derive(Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Conversation {
    /// What `talk` makes of this socket, once it is connected.
    pub(super) fn new<T>(socket: &Arc<OwnedFd>, talk: impl FnOnce(Watched) -> T) -> Self
    where
        T: Future<Output = Outcome> + Send + 'static,
    {
        let again = Arc::<Again>::default();
        let wire = Watched { socket: Arc::clone(socket), reads: 0 };
        // A budget that is used up would have to be waited for; AT_A_TIME is the one that counts here.
        Self { talk: Box::pin(unconstrained(talk(wire))), waker: Arc::clone(&again).into(), again }
    }

    /// Goes on as far as that is possible: `Ready` at its end, `Pending` until the socket's state changes; `None`: there
    /// is more to do, but others want their turn.
    pub(super) fn go_on(&mut self) -> Option<Poll<Outcome>> {
        for _ in 0..AT_A_TIME {
            self.again.0.store(false, Ordering::Relaxed);
            let polled = self.talk.as_mut().poll(&mut Context::from_waker(&self.waker));
            if polled.is_ready() || !self.again.0.load(Ordering::Relaxed) {
                return Some(polled);
            }
        }
        None
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.reads == AT_A_TIME {
            self.reads = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match recv(&*self.socket, buf.initialize_unfilled(), RecvFlags::empty()) {
            Ok((length, _)) => {
                buf.advance(length);
                self.reads += 1;
                Poll::Ready(Ok(()))
            }
            Err(Errno::AGAIN) => {
                self.reads = 0;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match send(&*self.socket, octets, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => Poll::Pending,
            sent => Poll::Ready(sent.map_err(io::Error::from)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Its owner ends it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
