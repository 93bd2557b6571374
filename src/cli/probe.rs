//! `rotad probe`: asks each target once and prints what was found.

use std::{
    collections::BTreeMap,
    io::{Write, stdout},
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use serde_json::json;

use crate::{
    check::{Outcome, Target, targets},
    cluster::{Cluster, NodeName},
    io::monitor::ask_once,
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
        .filter_map(|target| cluster.checks.get(&target.check).map(|check| (target, Arc::new(check.clone()))));
    let found = ask_once(questions).await;
    let text = if json { as_json(&found)? } else { as_table(&found) };
    stdout().write_all(text.as_bytes())?;
    Ok(found.values().all(|(outcome, _)| matches!(outcome, Outcome::Pass(_))))
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
