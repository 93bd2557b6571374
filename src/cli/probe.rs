//! `rotad probe`: asks each target once and prints what was found.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::bail;
use serde_json::json;

use crate::{
    check::{Check, Outcome, Target, targets},
    cli::out,
    cluster::{Cluster, NodeName},
    io::{monitor::ask_once, progress::Progress},
};

/// Asks the targets of one node, or of all, and prints each result with the time it took. Whether all pass.
///
/// # Errors
/// The node is not in the file, or standard output does not take the result.
pub async fn run(cluster: &Cluster, node: Option<&str>, json: bool) -> anyhow::Result<bool> {
    if let Some(node) = node
        && !cluster.nodes.contains_key(node)
    {
        let known: Vec<_> = cluster.nodes.keys().map(NodeName::as_str).collect();
        bail!("node {node:?}: no such node in the file; it has {}", known.join(", "));
    }
    let questions = targets(cluster)
        .into_iter()
        .filter(|target| node.is_none_or(|node| target.node.as_str() == node))
        .filter_map(|target| Check::of_target(cluster, &target).map(|check| (target, Arc::new(check))));
    let waits = || "not every node has answered yet".to_owned();
    let found = Progress::on_terminal().during(waits, ask_once(questions)).await;
    let text = if json { as_json(&found)? } else { as_table(&found) };
    out::print(text)?;
    Ok(found.values().all(|(outcome, _)| outcome.is_pass()))
}

type Found = BTreeMap<Target, (Outcome, Duration)>;

fn as_json(found: &Found) -> serde_json::Result<String> {
    let rows: Vec<_> = found
        .iter()
        .map(|(target, (outcome, took))| {
            json!({
                "node": target.node.as_str(),
                "check": target.check.as_str(),
                "address": target.address,
                "result": outcome.as_str(),
                "reason": outcome.reason(),
                "took_ms": took.as_secs_f64() * 1_000.0,
            })
        })
        .collect();
    serde_json::to_string_pretty(&rows).map(|text| text + "\n")
}

/// One line a target, in columns as wide as they must be.
fn as_table(found: &Found) -> String {
    if found.is_empty() {
        return "nothing to ask: no service with checks runs there\n".to_owned();
    }
    let rows: Vec<_> = found
        .iter()
        .map(|(target, (outcome, took))| {
            [
                target.node.to_string(),
                target.check.to_string(),
                target.address.to_string(),
                outcome.as_str().to_owned(),
                format!("{:.1} ms", took.as_secs_f64() * 1_000.0),
                outcome.reason().to_owned(),
            ]
        })
        .collect();
    let width =
        |column: fn(&[String; 6]) -> &String| rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
    let (nodes, checks, addresses, took) =
        (width(|row| &row[0]), width(|row| &row[1]), width(|row| &row[2]), width(|row| &row[4]));
    let line = |[node, check, address, result, time, reason]: &[String; 6]| {
        format!("{node:nodes$}  {check:checks$}  {address:addresses$}  {result:7}  {time:>took$}  {reason}\n")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{
            Kind,
            tests::{cluster, timing},
        },
        cluster::CheckName,
    };

    fn found() -> Found {
        let row = |node: &str, address: &str, outcome, micros| {
            let target =
                Target { node: NodeName::new(node), check: CheckName::new("imap"), address: address.parse().unwrap() };
            (target, (outcome, Duration::from_micros(micros)))
        };
        Found::from([
            row("node00", "192.0.2.10", Outcome::Pass("* OK ready".to_owned()), 1_234),
            row("relay", "2001:db8::11", Outcome::Fail("no banner in 5s".to_owned()), 5_000_500),
            row("relay", "192.0.2.11", Outcome::Unknown("network unreachable from here".to_owned()), 80),
        ])
    }

    #[test]
    fn a_table_in_columns() {
        assert_eq!(
            as_table(&found()),
            "node00  imap  192.0.2.10    pass        1.2 ms  * OK ready\n\
             relay   imap  192.0.2.11    unknown     0.1 ms  network unreachable from here\n\
             relay   imap  2001:db8::11  fail     5000.5 ms  no banner in 5s\n"
        );
    }

    #[test]
    fn the_same_as_json() {
        let rows: serde_json::Value = serde_json::from_str(&as_json(&found()).unwrap()).unwrap();
        assert_eq!(
            rows[2],
            json!({
                "node": "relay", "check": "imap", "address": "2001:db8::11",
                "result": "fail", "reason": "no banner in 5s", "took_ms": 5000.5,
            })
        );
    }

    #[tokio::test]
    async fn asks_one_node_or_names_those_that_there_are() {
        let node = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kind = Kind::Tcp { port: node.local_addr().unwrap().port() };
        let cluster = cluster(
            &[("node00", &["127.0.0.1"]), ("node01", &["::1"])],
            &[("imap", Check { kind, tls: None, timing: timing() })],
        );
        assert!(run(&cluster, Some("node00"), false).await.unwrap());
        assert!(!run(&cluster, Some("node01"), true).await.unwrap());
        assert!(!run(&cluster, None, false).await.unwrap());
        let error = run(&cluster, Some("n3"), false).await.unwrap_err();
        assert_eq!(error.to_string(), "node \"n3\": no such node in the file; it has node00, node01");
    }
}
