//! A zone of named.conf.

use super::KEY;

/// A zone of the configuration.
#[derive(Debug, Clone)]
pub struct Zone {
    pub(super) name: String,
    pub(super) records: String,
    pub(super) statements: String,
}

impl Zone {
    /// A primary zone with SOA (minimum 60 s), NS and nothing else, which nobody may update.
    pub fn read_only(name: &str) -> Self {
        let records = format!(
            "$TTL 300\n@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60\n@ NS ns.invalid.\n$ORIGIN {name}.\n"
        );
        Self { name: name.into(), records, statements: "type primary;".into() }
    }

    /// The same, and [`KEY`] may update all of it.
    pub fn new(name: &str) -> Self {
        Self::read_only(name).statement(&format!("allow-update {{ key {KEY}; }};"))
    }

    /// The same, and [`KEY`] may update what the `grant` and `deny` rules say.
    pub fn with_policy(name: &str, rules: &str) -> Self {
        Self::read_only(name).statement(&format!("update-policy {{ {rules} }};"))
    }

    /// A secondary of the server on `port`, which must allow the transfer: 9.20 does not by default.
    pub fn secondary(name: &str, port: u16) -> Self {
        let statements =
            format!("type secondary; primaries port {port} {{ 127.0.0.1; }}; allow-update-forwarding {{ none; }};");
        Self { name: name.into(), records: String::new(), statements }
    }

    /// What `named` answers with for names that no zone has.
    pub fn redirect(records: &str) -> Self {
        let records = format!(
            "$TTL 300\n. SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60\n. NS ns.invalid.\n{records}\n"
        );
        Self { name: ".".into(), records, statements: "type redirect;".into() }
    }

    /// The same, which forwards updates to it.
    pub fn forwarding(name: &str, port: u16) -> Self {
        let statements = format!(
            "type secondary; primaries port {port} {{ 127.0.0.1; }}; allow-update-forwarding {{ key {KEY}; }};"
        );
        Self { name: name.into(), records: String::new(), statements }
    }

    /// Adds lines of a zone file; relative names are the zone's.
    pub fn records(mut self, lines: &str) -> Self {
        self.records.push_str(lines);
        self.records.push('\n');
        self
    }

    /// Adds a statement of named.conf.
    pub fn statement(mut self, text: &str) -> Self {
        self.statements.push(' ');
        self.statements.push_str(text);
        self
    }
}
