//! What the network brings back is a failure of the node; what our own system says at once is not: row A3 of the trials.
//! A network of its own, behind a router that answers for nodes that it lets nobody through to.

use std::{
    env::current_exe,
    io::{BufRead, BufReader},
    net::IpAddr,
    process::{Child, Command, Stdio},
};

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};
use rotad::check::{Check, Dns, Kind, Outcome};
use tokio::task::JoinSet;

use super::{LONG, P, SHORT, check, fail, probe, probe_late};

/// A router in a network of its own, which ends with it.
struct Router(Child);

impl Router {
    /// Routes of ours: what is beyond the router, which says that it is unreachable or prohibited; what has no route at
    /// all; and what our own routes forbid.
    fn start() -> Self {
        let mut router = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux) runs");
        let mut ready = String::new();
        BufReader::new(router.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        let within = router.id().to_string();
        sh(&format!(
            "ip link set lo up
             ip link add ours type veth peer name theirs
             ip link set theirs netns {within}
             ip address add 10.9.0.1/24 dev ours
             ip address add fd09::1/64 dev ours nodad
             ip link set ours up"
        ));
        let there = "ip link set lo up
             ip address add 10.9.0.2/24 dev theirs
             ip address add fd09::2/64 dev theirs nodad
             ip link set theirs up
             echo 1 > /proc/sys/net/ipv4/ip_forward
             echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
             echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
             ip route add unreachable 10.8.0.0/24
             ip route add prohibit 10.7.0.0/24
             ip -6 route add unreachable fd08::/64
             ip -6 route add prohibit fd07::/64";
        sh(&format!("nsenter --target {within} --net -- sh -euc '{there}'"));
        sh("ip route add 10.8.0.0/24 via 10.9.0.2
            ip route add 10.7.0.0/24 via 10.9.0.2
            ip -6 route add fd08::/64 via fd09::2
            ip -6 route add fd07::/64 via fd09::2
            ip route add unreachable 10.6.0.0/24
            ip route add prohibit 10.5.0.0/24
            ip -6 route add unreachable fd06::/64
            ip -6 route add prohibit fd05::/64");
        Self(router)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // Its input ends with us, and it with its input.
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-euc", script]).output().expect("a shell runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a3_what_the_network_brings_back_is_a_failure() {
    let test = "checks::network::behind_a_router";
    let output = Command::new("unshare")
        .args(["--net", "--"])
        .arg(current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .output()
        .expect("unshare (util-linux) runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

fn dns() -> Check {
    let name = Name::from_ascii("example.org.").unwrap();
    let kind = Kind::Dns(Dns { port: 53, name, rtype: RecordType::SOA, rcode: ResponseCode::NoError });
    Check { kind, ..check(P::Tcp, 1, SHORT) }
}

#[tokio::test]
#[ignore = "wants a network of its own: run by a3_what_the_network_brings_back_is_a_failure in one"]
async fn behind_a_router() {
    let _router = Router::start();
    let unreachable = "no route to host";
    let prohibited = "prohibited, says a router or firewall on the way";
    let beyond = [
        ("10.8.0.1", unreachable),
        // IPv4 has one number for what is unreachable and what is prohibited.
        ("10.7.0.1", unreachable),
        ("fd08::1", "network unreachable, says a router on the way"),
        ("fd07::1", prohibited),
    ];
    // No route here, or one that forbids it.
    let ours = ["10.99.0.1", "10.6.0.1", "10.5.0.1", "fd99::1", "fd06::1", "fd05::1"];
    let nobody = ("10.9.0.77", unreachable);
    let failing = beyond.into_iter().chain([nobody]).map(|(address, told)| (address, Some(told)));
    let mut asked = JoinSet::new();
    for (address, told) in failing.chain(ours.map(|address| (address, None))) {
        let address: IpAddr = address.parse().unwrap();
        for protocol in [P::Tcp, P::Http, P::Smtp, P::Imap, P::Smtps] {
            let check = check(protocol, 25, LONG);
            asked.spawn(async move { (address, told, probe(&check, address).await) });
        }
        // The same without the cheap way for many brief probes.
        asked.spawn(async move { (address, told, probe_late(&check(P::Tcp, 25, LONG), address).await) });
        // What may pass is no error of UDP (udp(7)): then nobody answers, which is a failure as well.
        asked.spawn(async move {
            match (told, probe(&dns(), address).await) {
                (Some(told), Outcome::Fail(_)) => (address, Some(told), fail(told)),
                (told, outcome) => (address, told, outcome),
            }
        });
    }
    while let Some(asked) = asked.join_next().await {
        match asked.unwrap() {
            (address, Some(told), outcome) => assert_eq!(outcome, fail(told), "{address}"),
            (address, None, outcome) => assert!(matches!(outcome, Outcome::Unknown(_)), "{address}: {outcome:?}"),
        }
    }
}
