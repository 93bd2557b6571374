//! Files that are too large, too wrong, or not the ones that were meant.

use super::*;
use crate::config::Problem;

const GOOD: &str = "\
bind: { key_file: rotad.key }
nodes: { node00: { addresses: [192.0.2.10] } }
checks: { imap: { kind: imap } }
services: { imap: { publish: address, name: imap, checks: [imap] } }
";

const LISTED: &str = "domain_lists: [{ file: list, services: [imap] }]\n";

fn check_with(text: &str, list: &str, most: usize) -> Checked {
    let source = Source::new("cluster.yaml", text);
    let draft = Draft::new(&source, Path::new("")).at_most(most);
    let lists = [("list".into(), Ok(Source::new("list", list)))];
    draft.check(lists.into())
}

fn of_list(list: &str) -> Checked {
    check_with(&format!("{GOOD}{LISTED}"), list, usize::MAX)
}

fn problems(checked: Checked) -> Vec<Problem> {
    checked.cluster.expect_err("it is refused")
}

/// Everything that is said of a file.
fn said(checked: Checked) -> String {
    problems(checked).iter().map(|problem| format!("{problem}\n{problem:?}\n")).collect::<Vec<_>>().concat()
}

#[test]
fn d2_of_millions_of_problems_the_first_hundred_are_kept_and_the_rest_is_counted() {
    let many = 1_000_000;
    let checked = of_list(&"two words\n".repeat(many));
    assert_eq!(checked.more_problems, many - 100);
    let lines: Vec<_> = problems(checked).iter().map(|problem| problem.line).collect();
    assert_eq!(lines, (1..=100).collect::<Vec<_>>());
    // In the order of the files, wherever they are found.
    let text = format!("{GOOD}{LISTED}domains: {{ mydomain.org: {{ services: [none] }} }}\n");
    let checked = check_with(&text, &"two words\n".repeat(200), usize::MAX);
    assert_eq!((checked.more_problems, problems(checked)[0].file.clone()), (101, "cluster.yaml".to_owned()));
}

#[test]
fn d2_more_domains_than_there_is_memory_for_are_refused() {
    let list = (0..1_000).map(|at| format!("d{at}.example\n")).collect::<Vec<_>>().concat();
    assert!(check_with(&format!("{GOOD}{LISTED}"), &list, 1_000).cluster.is_ok());
    let refused = said(check_with(&format!("{GOOD}{LISTED}"), &list, 999));
    assert!(refused.contains("there are more than 999 domains, and no memory for more"), "{refused}");
}

#[test]
fn d5_of_thousands_of_unknown_references_the_first_are_compared_with_thousands_of_services() {
    let services = (0..4_000)
        .map(|at| format!("  service{at:04}: {{ publish: address, name: s{at}, checks: [imap] }}\n"))
        .collect::<Vec<_>>()
        .concat();
    let unknown: Vec<_> = (0..4_000).map(|at| format!("servise{at:04}")).collect();
    let head = GOOD.rsplit_once("services:").unwrap().0;
    let text =
        format!("{head}services:\n{services}domains: {{ mydomain.org: {{ services: [{}] }} }}\n", unknown.join(", "));
    let checked = check(&text);
    assert_eq!(checked.more_problems, 3_900);
    let problems = problems(checked);
    let hints = problems.iter().filter(|problem| problem.message.contains("did you mean")).count();
    assert_eq!((problems.len(), hints), (100, 20));
}

/// A file whose domain, or domains, have so many services of a form; `{at}` is the number of each.
fn many(service: &str, domains: usize, services: usize) -> String {
    let each = |at: usize| format!("  s{at}: {{ {} }}\n", service.replace("{at}", &at.to_string()));
    let all: String = (0..services).map(each).collect();
    // Each domain leaves out another one, so that no two share a profile.
    let of = |domain: usize| (0..services).filter(move |at| *at != domain).map(|at| format!("s{at}"));
    let list = |domain| of(domain).collect::<Vec<_>>().join(", ");
    let domain = |at| format!("  d{at}.test: {{ services: [{}] }}\n", list(at));
    let domains: String = (0..domains).map(domain).collect();
    let head = GOOD.rsplit_once("services:").unwrap().0;
    format!("{head}services:\n{all}domains:\n{domains}")
}

#[test]
fn d5_services_that_share_a_name_cost_what_they_are_and_not_what_their_pairs_are() {
    for service in [
        "publish: mx, preference: {at}, exchange: \"{node}.x{at}.{domain}\", checks: [imap]",
        "publish: mx, preference: {at}, exchange: \"{node}.out.example\", checks: [imap]",
        "publish: mx, preference: {at}, exchange: \"mail.d0.test\", checks: [imap]",
        "publish: mx, preference: {at}, exchange: \"{node}.{domain}.of.d0.test\", checks: [imap]",
        "publish: address, name: imap, checks: [imap]",
        "publish: address, name: imap, ttl: {at}s, checks: [imap]",
        "publish: address, name: imap, pinned: { name: \"imap{index}\", when_down: keep }, checks: [imap]",
        "publish: alias, name: imap, target: mail.example",
        "publish: alias, name: imap, target: mail{at}.example",
    ] {
        let work = |domains, services| {
            let text = many(service, domains, services);
            let (_, work) = crate::cluster::work::of(|| check(&text));
            // Each service has a handful of claims in each domain, and each claim meets a handful of others.
            assert!((services..=16 * domains * services).contains(&work), "{service}: {work}");
            work
        };
        let (few, more) = (work(1, 300), work(1, 3_000));
        assert!(more < 11 * few, "{service}: {few} and {more}");
        let (few, more) = (work(2, 200), work(20, 200));
        assert!(more < 11 * few, "{service}: {few} and {more}");
    }
}

#[test]
fn d9_whatever_is_too_long_is_cut_wherever_it_stands() {
    let long = "x".repeat(8 << 20);
    let list = of_list(&long);
    let scalars = ["ttl: L\n", "cluster: L\n", "http: L\n", "state_dir: L\n", "L: 1\n", "safety: { all_down: L }\n"];
    let services =
        ["L: {}", "a: { publish: L }", "a: { publish: address, name: L }", "a: { publish: mx, exchange: L }", "a: L"];
    let services = services.map(|service| format!("services: {{ {service} }}\n"));
    let domains =
        ["L: { services: [imap] }", "d.org: { services: [L] }", "d.org: { services: L }", "d.org: { zone: L }"];
    let domains = domains.map(|domain| format!("domains: {{ {domain} }}\n"));
    let checks =
        ["L: { kind: imap }", "a: { kind: L }", "a: { kind: exec, command: [L] }", "a: { kind: http, path: L }"];
    let checks = checks.map(|check| format!("checks: {{ {check} }}\n"));
    let texts = scalars.map(str::to_owned).into_iter().chain(services).chain(domains).chain(checks);
    let texts =
        texts.chain(["nodes: { L: { addresses: [L], admin_state: L, index: L } }\n".to_owned(), "L".to_owned()]);
    for (text, checked) in
        texts.map(|text| (text.clone(), check(&text.replace('L', &long)))).chain([("a list".to_owned(), list)])
    {
        for problem in problems(checked) {
            assert!(
                problem.message.len() <= 1_500 && problem.to_string().len() <= 2_000,
                "{text}: {}",
                problem.message.len()
            );
            assert!(!problem.message.contains(&long[..300]), "{text}: {}", problem.message);
        }
    }
}

#[test]
fn d15_what_nothing_obeys_is_refused() {
    let good = format!("{GOOD}domains: {{ mydomain.org: {{ services: [imap] }} }}\n");
    assert!(check(&good).cluster.is_ok());
    let refused = said(check(&format!("{good}http: 127.0.0.1:9553\n")));
    assert!(refused.contains("http: nothing listens for HTTP in this version"), "{refused}");
    // Keys of designs to come, at every level.
    for (from, to) in [
        ("cluster.yaml", "notify: []"),
        ("{ publish: address,", "{ publish: address, tiers: [[node00]],"),
        ("{ kind: imap", "{ kind: imap, login: { user: a }"),
        ("{ addresses: [192.0.2.10]", "{ addresses: [192.0.2.10], weight: 1"),
        ("{ key_file: rotad.key", "{ key_file: rotad.key, servers: {}"),
    ] {
        let text = if good.contains(from) { good.replace(from, to) } else { format!("{good}{to}\n") };
        assert!(said(check(&text)).contains("there is no key "), "{text}");
    }
}

#[test]
fn d10_a_file_that_is_no_list_is_not_repeated() {
    let key = "key \"rotad\" {\n\talgorithm hmac-sha256;\n\tsecret \"bWFya2VyLXNlY3JldA==\";\n};\n";
    let pem = "-----BEGIN PRIVATE KEY-----\nbWFya2VyMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTU\nbWFya2Vy9Us8cKj+MzEfYyjiWA4/4Mg==\n\
               bWFya2VyShortLine\n-----END PRIVATE KEY-----\n";
    let shadow = "root:$6$bWFya2Vy$salt:19000:0:99999:7:::\n";
    let json = "{\n  \"password\": \"bWFya2Vy\",\n  \"token\": \"bWFya2Vy.x/y\"\n}\n";
    let pass = "bWFya2Vy!\n";
    let mixed = "good.example\nbWFya2Vy+more\n";
    for text in [key, pem, shadow, json, pass, mixed] {
        let told = said(of_list(text));
        assert!(told.contains("list") && !told.contains("bWFy"), "{text}: {told}");
        // The same in the place of the file itself.
        let told = said(check(text));
        assert!(!told.contains("bWFy"), "{text}: {told}");
    }
    for text in ["password: bWFya2Vy\n", "- bWFya2Vy\n", "bWFya2Vy", "a: !bWFya2Vy b\n", "*bWFya2Vy", "bWFya2Vy: 1\n"] {
        let told = said(check(text));
        assert!(told.contains("is it another file?") && !told.contains("bWFy"), "{text}: {told}");
    }
    // A list whose one line is wrong shows it, if it could be a name.
    let told = said(of_list("good.example\nbad..example\n"));
    assert!(
        told.contains("\"bad..example\" is no domain name: a label is empty") && told.contains("2 | bad..example"),
        "{told}"
    );
}

#[test]
fn d12_a_name_is_no_option_of_a_command() {
    for name in ["-rf", "--help", "node01-", ".node", "node.", "_", "a..-"] {
        for (from, to) in [
            ("node00:", format!("\"{name}\":")),
            ("{ imap: { kind", format!("{{ \"{name}\": {{ kind")),
            ("{ imap: { publish", format!("{{ \"{name}\": {{ publish")),
        ] {
            let text = format!("{GOOD}domains: {{ mydomain.org: {{ services: [imap] }} }}\n").replace(from, &to);
            let refused = said(check(&text));
            assert!(refused.contains("is no name; it begins and ends with a letter or a digit"), "{text}: {refused}");
        }
    }
    for name in ["own_mx", "a", "node-01", "mx.example"] {
        let text =
            GOOD.replace("imap: { kind", &format!("{name}: {{ kind")).replace("[imap] }", &format!("[{name}] }}"));
        assert!(
            check(&format!("{text}domains: {{ mydomain.org: {{ services: [imap] }} }}\n")).cluster.is_ok(),
            "{text}"
        );
    }
}

#[test]
fn e7_what_bind_refuses_as_a_hosts_name_is_refused() {
    let with = |node: &str, service: &str, domain: &str| {
        let text = GOOD.replace("node00", node).replace("publish: address, name: imap, checks: [imap]", service);
        check(&format!("{text}domains: {{ {domain}: {{ services: [imap] }} }}\n"))
    };
    let alias = "publish: alias, name: _imap, target: _x.example.org";
    for (node, service, domain, refused) in [
        ("node00", "publish: address, name: my_imap", "a.org", true),
        ("node00", "publish: address, name: imap-", "a.org", true),
        ("node00", "publish: address, name: x._y.imap", "a.org", true),
        ("node00", "publish: address, name: imap", "my_shop.org", true),
        ("node00", "publish: address, name: \"@\"", "_shop.org", true),
        ("node_00", "publish: address, name: imap, pinned: { name: \"{node}\" }", "a.org", true),
        ("node00", "publish: address, name: imap, pinned: { name: \"web_{index}\" }", "a.org", true),
        ("node_00", "publish: mx, exchange: \"{node}.mail.example.org\"", "a.org", true),
        ("node_00", "publish: mx, exchange: \"{node}.{domain}\"", "a.org", true),
        ("node00", "publish: mx, exchange: \"{node}.my_mail.example.org\"", "a.org", true),
        ("node00", "publish: mx, exchange: \"{node}.mail.example.org\"", "my_shop.org", true),
        // BIND takes these.
        ("node00", alias, "my_shop.org", false),
        ("node_00", "publish: address, name: imap", "a.org", false),
        ("node_00", "publish: mx, exchange: \"mx{index}.mail.example.org\"", "a.org", false),
        ("node00", "publish: address, name: \"*\"", "a.org", false),
        ("node00", "publish: address, name: im-ap.x--y", "a.org", false),
    ] {
        let checked = with(node, service, domain);
        assert_eq!(checked.cluster.is_err(), refused, "{service} {domain}: {:?}", checked.cluster);
        if refused {
            let told = said(checked);
            assert!(told.contains("(check-names)") && told.contains("no \"_\""), "{told}");
        }
    }
    let told = said(check_with(&format!("{GOOD}{LISTED}"), "good.org\nmy_shop.org\n", usize::MAX));
    assert!(told.contains("list:2:1: domain \"my_shop.org\": service \"imap\" gives it addresses"), "{told}");
}
