//! A conversation on a socket that somebody else watches: no task, no timer and no registration of its own.

use std::{
    io,
    mem::MaybeUninit,
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

/// Octets that are read at a time: an answer's head, mostly.
const PIECE: usize = 2048;

/// A socket that does not block. Who waits for it is to be polled when its state has changed: it wakes nobody.
pub(super) struct Watched {
    socket: Arc<OwnedFd>,
    signs: Arc<Signs>,
    reads: usize,
}

/// A connection, told of as it goes on.
pub(super) struct Conversation {
    talk: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    signs: Arc<Signs>,
    waker: Waker,
}

/// What a conversation and its socket tell each other.
#[derive(Default)]
struct Signs {
    /// Somebody was woken.
    again: AtomicBool,
    /// There may be something to read: to ask in vain costs as much as to read.
    readable: AtomicBool,
}

impl Wake for Signs {
    fn wake(self: Arc<Self>) {
        self.again.store(true, Ordering::Relaxed);
    }
}

impl Conversation {
    /// What `talk` makes of this socket, once it is connected.
    pub(super) fn new<T>(socket: &Arc<OwnedFd>, talk: impl FnOnce(Watched) -> T) -> Self
    where
        T: Future<Output = Outcome> + Send + 'static,
    {
        let signs = Arc::<Signs>::default();
        let wire = Watched { socket: Arc::clone(socket), signs: Arc::clone(&signs), reads: 0 };
        // A budget that is used up would have to be waited for; AT_A_TIME is the one that counts here.
        Self { talk: Box::pin(unconstrained(talk(wire))), waker: Arc::clone(&signs).into(), signs }
    }

    /// There is something to read: octets, the end, or an error.
    pub(super) fn has_news(&self) {
        self.signs.readable.store(true, Ordering::Relaxed);
    }

    /// Goes on as far as that is possible: `Ready` at its end, `Pending` until the socket's state changes; `None`: there
    /// is more to do, but others want their turn.
    pub(super) fn go_on(&mut self) -> Option<Poll<Outcome>> {
        for _ in 0..AT_A_TIME {
            self.signs.again.store(false, Ordering::Relaxed);
            let polled = self.talk.as_mut().poll(&mut Context::from_waker(&self.waker));
            if polled.is_ready() || !self.signs.again.load(Ordering::Relaxed) {
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
        if !self.signs.readable.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // To clear the reader's much larger buffer would take longer than this copy.
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let (room, _) = piece.split_at_mut(PIECE.min(buf.remaining()));
        match recv(&*self.socket, room, RecvFlags::empty()) {
            Ok(((octets, _), _)) => {
                buf.put_slice(octets);
                self.reads += 1;
                Poll::Ready(Ok(()))
            }
            Err(Errno::AGAIN) => {
                self.signs.readable.store(false, Ordering::Relaxed);
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
