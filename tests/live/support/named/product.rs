//! Other primaries in the place of BIND: Knot DNS and `PowerDNS` as Debian ships them, with the same zones and keys.

use std::{
    fmt::Write as _,
    fs::{self, File},
    process::{Command, Stdio},
};

use super::{Named, Zone, command, of_bind, said};

/// Which server it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Product {
    /// BIND.
    #[default]
    Bind,
    /// Knot DNS.
    Knot,
    /// `PowerDNS` over `SQLite`.
    PowerDns,
}

impl Product {
    /// Its program with the configuration that was written for it.
    pub(super) fn command(self, named: &Named) -> Command {
        let path = named.path().display();
        let mut server;
        match self {
            Self::Bind => {
                server = of_bind("named");
                server.arg("-g").arg("-c").arg(format!("{path}/named.conf"));
            }
            Self::Knot => {
                server = command("knotd");
                server.arg("-c").arg(format!("{path}/knot.conf"));
            }
            Self::PowerDns => {
                server = command("pdns_server");
                server.arg(format!("--config-dir={path}"));
            }
        }
        server
    }

    /// Whether its log says that it serves.
    pub(super) fn is_up(self, log: &str) -> bool {
        match self {
            Self::Bind => log.lines().any(|line| line.ends_with(" running")),
            Self::Knot => log.contains("server started"),
            Self::PowerDns => log.contains("ready to distribute questions"),
        }
    }

    /// Whether its log says that another process has the port.
    pub(super) fn is_port_taken(self, log: &str) -> bool {
        let words = match self {
            Self::Bind => "address in use",
            Self::Knot => "cannot bind address",
            Self::PowerDns => "Unable to bind",
        };
        log.contains(words)
    }

    /// Writes what [`Product::command`] reads.
    pub(super) fn configure(self, named: &Named) {
        match self {
            Self::Bind => {}
            Self::Knot => knot(named),
            Self::PowerDns => power_dns(named),
        }
    }
}

/// The secret of a key file.
fn secret(named: &Named, key: &str) -> String {
    let text = fs::read_to_string(named.key_file(key)).expect("a key file");
    text.split('"').find(|part| part.ends_with('=')).expect("a secret").to_owned()
}

fn knot(named: &Named) {
    let (path, port) = (named.path().display(), named.port);
    fs::create_dir_all(named.path().join("db")).expect("a folder");
    let mut conf = format!(
        "server:\n    listen: [ 127.0.0.1@{port}, ::1@{port} ]\n    rundir: {path}\n    pidfile: {path}/pid\n\
         database:\n    storage: {path}/db\nlog:\n  - target: stderr\n    any: info\nkey:\n"
    );
    for key in &named.keys {
        let secret = secret(named, key);
        writeln!(conf, "  - id: {key}\n    algorithm: hmac-sha256\n    secret: {secret}").expect("a String grows");
    }
    write!(
        conf,
        "acl:\n  - id: update\n    key: rotad\n    action: [update, transfer]\n  - id: transfer\n    \
         address: [127.0.0.1, ::1]\n    action: transfer\ntemplate:\n  - id: default\n    storage: {path}\n    \
         file: \"%s.zone\"\n    acl: [update, transfer]\nzone:\n"
    )
    .expect("a String grows");
    for Zone { name, .. } in &named.zones {
        writeln!(conf, "  - domain: {name}").expect("a String grows");
    }
    fs::write(named.path().join("knot.conf"), conf).expect("knot.conf");
}

fn power_dns(named: &Named) {
    let (path, port) = (named.path().display(), named.port);
    let conf = format!(
        "launch=gsqlite3\ngsqlite3-database={path}/db.sqlite3\nlocal-address=127.0.0.1, ::1\nlocal-port={port}\n\
         socket-dir={path}\ndnsupdate=yes\nallow-axfr-ips=127.0.0.0/8,::1\ndname-processing=yes\nguardian=no\ndaemon=no\n"
    );
    fs::write(named.path().join("pdns.conf"), conf).expect("pdns.conf");
    let database = named.path().join("db.sqlite3");
    if database.exists() {
        return;
    }
    let schema = File::open("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql").expect("pdns-backend-sqlite3");
    let made = command("sqlite3").arg(&database).stdin(Stdio::from(schema)).output();
    said(&made.expect("sqlite3 is installed")).expect("the tables are made");
    let pdnsutil = |arguments: &[&str]| {
        let output = command("pdnsutil").arg(format!("--config-dir={path}")).args(arguments).output();
        said(&output.expect("pdns-server is installed")).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    };
    for key in &named.keys {
        pdnsutil(&["import-tsig-key", key, "hmac-sha256", &secret(named, key)]);
    }
    for Zone { name, .. } in &named.zones {
        pdnsutil(&["load-zone", name, &format!("{path}/{name}.zone")]);
        pdnsutil(&["set-meta", name, "TSIG-ALLOW-DNSUPDATE", "rotad"]);
        pdnsutil(&["set-meta", name, "ALLOW-DNSUPDATE-FROM", "127.0.0.0/8"]);
    }
}
