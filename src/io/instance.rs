//! Whether this instance works with a primary from one state directory alone.
//!
//! The lock of the state directory stops a second rotad of the same directory. One with another directory has the same
//! name, made from the machine's id, and the zones cannot tell the two apart before both have written. An abstract socket
//! with that name is held as long as the process lives, and by one process at a time. Anybody on the machine can hold it:
//! what counts is who listens there.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as Place, UnixListener},
    },
};

use rustix::{
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, UCred, connect, socket_with, sockopt::socket_peercred,
    },
    process::geteuid,
};

use crate::zone::Identity;

/// Held until it is dropped. Nobody accepts what connects.
#[derive(Debug)]
pub struct Instance {
    _held: UnixListener,
}

/// Takes the name of an instance at a primary. `Ok(None)`: this system does not give it, and nothing is known.
///
/// # Errors
/// Another process on this machine has it: what is to be told.
pub fn claim(me: &Identity, server: SocketAddr) -> Result<Option<Instance>, String> {
    let name = format!("rotad {} {} {server}", me.cluster, me.owner);
    match Place::from_abstract_name(&name).and_then(|place| UnixListener::bind_addr(&place)) {
        Ok(held) => Ok(Some(Instance { _held: held })),
        Err(error) if error.kind() == ErrorKind::AddrInUse => match holder(&name).filter(is_rotads) {
            Some(UCred { pid, uid, .. }) => Err(format!(
                "another rotad on this machine works with {server} as the same instance ({}), from another state directory: \
                 process {} of uid {}; in each zone one of the two will stand by; stop one of them, or give one another \
                 cluster name and zones of its own",
                me.owner,
                pid.as_raw_nonzero(),
                uid.as_raw()
            )),
            None => Ok(None),
        },
        Err(_) => Ok(None),
    }
}

/// Who listens there. `None`: nobody does, or it does not let us know. Never waits: anybody can have the name.
fn holder(name: &str) -> Option<UCred> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    connect(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes()).ok()?).ok()?;
    socket_peercred(&socket).ok()
}

/// Whether it may be a rotad that works with our zones. To root every user may be the one that rotad runs as; to that one
/// no other user matters but root.
fn is_rotads(holder: &UCred) -> bool {
    holder.uid.is_root() || geteuid().is_root() || holder.uid == geteuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c9_an_instance_that_is_alive_elsewhere_is_found_until_it_ends() {
        let me = |cluster: &str| Identity { cluster: cluster.to_owned(), owner: "c9-of-the-tests".to_owned() };
        let server = "192.0.2.53:53".parse().unwrap();
        let first = claim(&me("mail"), server).unwrap().expect("abstract sockets");
        assert!(claim(&me("web"), server).unwrap().is_some());
        assert!(claim(&me("mail"), "192.0.2.54:53".parse().unwrap()).unwrap().is_some());
        let told = claim(&me("mail"), server).unwrap_err();
        assert!(told.contains("192.0.2.53:53") && told.contains("c9-of-the-tests"), "{told}");
        drop(first);
        assert!(claim(&me("mail"), server).unwrap().is_some());
    }
}
