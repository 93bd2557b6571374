//! Postfix with postscreen, Dovecot and nginx as Debian ships them: each on loopback ports of its own in a directory
//! of its own, ended by its process id. `tests/run.sh --real` installs them and runs these.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rotad::check::{
    Check, Http, Kind, Outcome, Tls,
    http::{Header, Method},
    tls::Begin,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{LOCAL, busy, fail, is_named, pass, probe};
use crate::support::{
    certificate::{ALWAYS, Authority},
    named::eventually,
};

const NAME: &str = "mx.example.org";

/// Never reached in a test that goes well, and above postscreen's 6 s.
const LONG: Duration = Duration::from_secs(20);

/// A server and its directory.
struct Server {
    child: Child,
    folder: TempDir,
    authority: Authority,
}

/// The directory of a server that is to be, with a certificate and its key in `both.pem`.
fn prepare(name: &str) -> (TempDir, Authority) {
    let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
    // The server's users must get through.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let authority = Authority::new("ours");
    let (certificate, key) = authority.issue(&[NAME], ALWAYS);
    fs::write(folder.path().join("both.pem"), key.serialize_pem() + &certificate.pem()).unwrap();
    (folder, authority)
}

/// As many free ports.
fn ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

impl Server {
    /// Runs it in the foreground, and waits until it accepts on every port.
    fn run(command: &mut Command, folder: TempDir, authority: Authority, ports: &[u16]) -> Self {
        let output = File::create(folder.path().join("output")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run.sh --real installs it"));
        let mut server = Self { child, folder, authority };
        for port in ports {
            eventually("the server accepts", || {
                let ended = server.child.try_wait().unwrap();
                assert!(ended.is_none(), "it has ended: {}{}", server.text("output"), server.text("log"));
                TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()
            });
        }
        server
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    fn tls(&self, begin: Begin) -> Tls {
        Tls {
            begin,
            name: Some(NAME.try_into().unwrap()),
            verify: true,
            authorities: Some(self.authority.trusted()),
            min_days: 14,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs until now");
        self.child.wait().expect("a child can be waited for");
    }
}

async fn ask(kind: Kind, tls: Option<Tls>, timeout: Duration) -> Outcome {
    let timing = super::timing(timeout);
    probe(&Check { kind, tls, timing }, LOCAL).await
}

fn postfix(ports: [u16; 3], more: &str) -> Server {
    let (folder, authority) = prepare("postfix-");
    let path = folder.path();
    let at = path.display();
    let [screened, open, wrapped] = ports;
    for name in ["queue", "data"] {
        fs::create_dir(path.join(name)).unwrap();
    }
    chown(path.join("data"), Some(user("postfix")), None).unwrap();
    let main = format!(
        "compatibility_level = 3.6\nmyhostname = {NAME}\nmydestination =\nmynetworks =\nalias_maps =\n\
         queue_directory = {at}/queue\ndata_directory = {at}/data\nmail_owner = postfix\nsetgid_group = postdrop\n\
         maillog_file = {at}/log\nmaillog_file_prefixes = {at}\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
         smtpd_peername_lookup = no\nsmtpd_tls_chain_files = {at}/both.pem\nsmtpd_tls_security_level = may\n\
         postscreen_greet_action = enforce\n{more}"
    );
    let master = format!(
        "127.0.0.1:{screened} inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n\
         127.0.0.1:{open} inet n - n - - smtpd\n\
         127.0.0.1:{wrapped} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n\
         dnsblog unix - - n - 0 dnsblog\ntlsproxy unix - - n - 0 tlsproxy\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         anvil unix - - n - 1 anvil\nrewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    );
    fs::write(path.join("main.cf"), main).unwrap();
    fs::write(path.join("master.cf"), master).unwrap();
    let made = Command::new("/usr/sbin/postfix").arg("-c").arg(path).arg("check").output();
    let made = made.unwrap_or_else(|error| panic!("postfix: {error}; tests/run.sh --real installs it"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut master = Command::new("/usr/lib/postfix/sbin/master");
    master.arg("-c").arg(path).arg("-d");
    Server::run(&mut master, folder, authority, &[open, wrapped])
}

/// The number of a user of this system.
fn user(name: &str) -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("there is no user {name}; tests/run.sh --real installs what makes it"));
    line.split(':').nth(2).unwrap().parse().unwrap()
}

#[tokio::test]
#[ignore = "needs Postfix: tests/run.sh --real installs it"]
async fn postfix_and_its_postscreen() {
    let [screened, open, wrapped] = ports();
    let server = postfix([screened, open, wrapped], "");
    let banner = format!("220 {NAME} ESMTP Postfix");

    for (port, tls) in
        [(open, None), (open, Some(server.tls(Begin::Starttls))), (wrapped, Some(server.tls(Begin::Implicit)))]
    {
        assert_eq!(ask(Kind::Smtp { port, helo: None }, tls, LONG).await, pass(&banner), "{}", server.text("log"));
    }
    let stranger = Tls { authorities: Some(Authority::new("a stranger").trusted()), ..server.tls(Begin::Starttls) };
    assert_eq!(
        ask(Kind::Smtp { port: open, helo: None }, Some(stranger), LONG).await,
        fail("certificate is of an unknown authority")
    );
    let plain = Tls { begin: Begin::Implicit, ..server.tls(Begin::Starttls) };
    assert!(
        ask(Kind::Smtp { port: open, helo: None }, Some(plain), LONG)
            .await
            .reason()
            .contains("in plain text where TLS")
    );
    // Orderly from its side, too: both greetings, STARTTLS and QUIT.
    let orderly = "ehlo=2 starttls=1 quit=1 commands=4";
    eventually("Postfix logs an orderly session", || server.text("log").contains(orderly));

    // A stranger waits for 6 s. Who has no patience has to wait again.
    let teased = ask(Kind::Smtp { port: screened, helo: None }, None, Duration::from_secs(5)).await;
    assert_eq!(teased, fail("no banner in 5s"));
    // The default timeout of smtp checks suffices; from then on postscreen knows us.
    let shown = format!("220-{NAME} ESMTP Postfix");
    let default = Duration::from_secs(8);
    assert_eq!(
        ask(Kind::Smtp { port: screened, helo: None }, None, default).await,
        pass(&shown),
        "{}",
        server.text("log")
    );
    let known =
        ask(Kind::Smtp { port: screened, helo: None }, Some(server.tls(Begin::Starttls)), Duration::from_secs(5)).await;
    assert_eq!(known, pass(&banner), "{}", server.text("log"));
    assert!(!server.text("log").contains("PREGREET"), "{}", server.text("log"));
}

#[tokio::test]
#[ignore = "needs Postfix: tests/run.sh --real installs it"]
async fn b2_a_strict_postfix_takes_our_greeting_whatever_this_host_is_called() {
    let names = ["vm", "rotad_1"];
    let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if !names.contains(&here.as_str()) {
        let test = "checks::real::b2_a_strict_postfix_takes_our_greeting_whatever_this_host_is_called";
        assert!(!names.iter().any(|name| is_named(name, test)), "it runs where the host has such a name");
        return;
    }
    let strict = "smtpd_delay_reject = no\nsmtpd_helo_required = yes\n\
                  smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname\n";
    let [screened, open, wrapped] = ports();
    let server = postfix([screened, open, wrapped], strict);
    let banner = format!("220 {NAME} ESMTP Postfix");
    let smtp = |helo: Option<&str>| Kind::Smtp { port: open, helo: helo.map(Into::into) };
    for tls in [None, Some(server.tls(Begin::Starttls))] {
        assert_eq!(ask(smtp(None), tls.clone(), LONG).await, pass(&banner), "{}", server.text("log"));
        assert_eq!(ask(smtp(Some("mon.example.org")), tls, LONG).await, pass(&banner), "{}", server.text("log"));
    }
    // So it is strict indeed.
    let refused = ask(smtp(Some(&here)), None, LONG).await;
    assert!(refused.reason().starts_with("EHLO answered \"504 5.5.2 <"), "{refused:?}");
}

fn dovecot([imap, imaps, pop3, pop3s, lmtp]: [u16; 5]) -> Server {
    let (folder, authority) = prepare("dovecot-");
    let at = folder.path().display();
    let config = format!(
        "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/log\nlisten = 127.0.0.1\n\
         protocols = imap pop3 lmtp\nssl = yes\nssl_cert = <{at}/both.pem\nssl_key = <{at}/both.pem\n\
         mail_location = maildir:{at}/mail\n\
         passdb {{\n driver = static\n args = nopassword=y\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={at}\n}}\n\
         service imap-login {{\n inet_listener imap {{\n port = {imap}\n }}\n inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n port = {pop3}\n }}\n inet_listener pop3s {{\n port = {pop3s}\n ssl = yes\n }}\n}}\n\
         service lmtp {{\n inet_listener lmtp {{\n port = {lmtp}\n }}\n}}\n"
    );
    let file = folder.path().join("dovecot.conf");
    fs::write(&file, config).unwrap();
    let mut command = Command::new("/usr/sbin/dovecot");
    command.arg("-F").arg("-c").arg(&file);
    Server::run(&mut command, folder, authority, &[imap, imaps, pop3, pop3s, lmtp])
}

#[tokio::test]
#[ignore = "needs Dovecot: tests/run.sh --real installs it"]
async fn dovecot_s_imap_pop3_and_lmtp() {
    let [imap, imaps, pop3, pop3s, lmtp] = ports();
    let server = dovecot([imap, imaps, pop3, pop3s, lmtp]);
    let (starttls, implicit) = (Some(server.tls(Begin::Starttls)), Some(server.tls(Begin::Implicit)));
    for (kind, tls, shown) in [
        (Kind::Imap { port: imap }, None, "* OK [CAPABILITY IMAP4rev1 "),
        (Kind::Imap { port: imap }, starttls.clone(), "* OK [CAPABILITY IMAP4rev1 "),
        (Kind::Imap { port: imaps }, implicit.clone(), "* OK [CAPABILITY IMAP4rev1 "),
        (Kind::Pop3 { port: pop3 }, None, "+OK Dovecot (Debian) ready."),
        (Kind::Pop3 { port: pop3 }, starttls.clone(), "+OK Dovecot (Debian) ready."),
        (Kind::Pop3 { port: pop3s }, implicit, "+OK Dovecot (Debian) ready."),
        (Kind::Lmtp { port: lmtp, helo: None }, None, "220 "),
    ] {
        let outcome = ask(kind.clone(), tls, LONG).await;
        assert!(matches!(&outcome, Outcome::Pass(text) if text.starts_with(shown)), "{kind:?}: {outcome:?}");
    }
    let stranger = Tls { authorities: Some(Authority::new("a stranger").trusted()), ..server.tls(Begin::Starttls) };
    let outcome = ask(Kind::Imap { port: imap }, Some(stranger), LONG).await;
    assert_eq!(outcome, fail("certificate is of an unknown authority"));
    let outcome = ask(Kind::Pop3 { port: imap }, None, LONG).await;
    assert!(outcome.reason().starts_with("banner \"* OK "), "{outcome:?}");
}

fn nginx([plain, tls]: [u16; 2]) -> Server {
    let (folder, authority) = prepare("nginx-");
    let at = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {at}/{what};\n"))
        .concat();
    let config = format!(
        "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/log;\nevents {{}}\nhttp {{\naccess_log off;\n\
         {temporary}server {{\nlisten 127.0.0.1:{plain};\nlisten 127.0.0.1:{tls} ssl;\nssl_certificate {at}/both.pem;\n\
         ssl_certificate_key {at}/both.pem;\nadd_header X-Ready \"oh yes\";\ngzip on;\n\
         location = / {{ return 200 \"a login\"; }}\nlocation = /moved {{ return 302 /; }}\n\
         location = /busy {{ return 503; }}\n}}\n}}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(&file).arg("-p").arg(folder.path());
    Server::run(&mut command, folder, authority, &[plain, tls])
}

#[tokio::test]
#[ignore = "needs nginx: tests/run.sh --real installs it"]
async fn nginx_plain_and_under_tls() {
    let [plain, secured] = ports();
    let server = nginx([plain, secured]);
    let http = |port, path: &str, body: Option<&str>| Http {
        port,
        method: Method::Get,
        path: path.to_owned(),
        host: Some(NAME.to_owned()),
        status: vec![200],
        header: None,
        body: body.map(str::to_owned),
    };
    let header = Header { name: "x-ready".to_owned(), contains: "yes".to_owned() };
    let implicit = Some(server.tls(Begin::Implicit));
    for (question, tls, expected) in [
        (http(plain, "/", Some("login")), None, pass("status 200")),
        (http(secured, "/", Some("login")), implicit.clone(), pass("status 200")),
        (Http { method: Method::Head, header: Some(header), ..http(plain, "/", None) }, None, pass("status 200")),
        (http(plain, "/", Some("logout")), None, fail("the body's first 8 KiB do not contain \"logout\"")),
        (http(plain, "/busy", None), None, busy("status 503")),
        (http(plain, "/moved", None), None, fail("status 302")),
        (http(plain, "/nowhere", None), None, fail("status 404")),
        // Plain text on the TLS port.
        (http(secured, "/", None), None, fail("status 400")),
    ] {
        assert_eq!(ask(Kind::Http(Arc::new(question.clone())), tls, LONG).await, expected, "{question:?}");
    }
    assert_eq!(ask(Kind::Tcp { port: secured }, implicit.clone(), LONG).await, pass("TLS handshake done"));
    let outcome = ask(Kind::Http(Arc::new(http(plain, "/", None))), implicit, LONG).await;
    assert!(outcome.reason().starts_with("the node answers in plain text"), "{outcome:?}");
}
