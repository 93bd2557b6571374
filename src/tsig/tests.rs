use super::*;

const SECRET: &str = "bWFya2VyLXNlY3JldA==";

impl Key {
    /// Signs an answer as a server does, for tests of those who verify.
    pub(crate) fn sign_answer(&self, mut answer: Message, time: u64, request_mac: &[u8]) -> Vec<u8> {
        let algorithm = self.label.algorithm.on_the_wire();
        let unsigned = TSIG::new(algorithm, time, FUDGE, Vec::new(), answer.id, None, Vec::new());
        let mut digested = u16::try_from(request_mac.len()).unwrap().to_be_bytes().to_vec();
        digested.extend_from_slice(request_mac);
        digested.extend(message_tbs(&answer, &unsigned, &self.name).unwrap());
        let mac = self.mac(&digested).unwrap();
        answer.set_signature(Box::new(make_tsig_record(self.name.clone(), unsigned.set_mac(mac))));
        answer.to_vec().unwrap()
    }
}

fn parse(text: &str) -> Result<Keys, KeyError> {
    Keys::parse(text, "rotad.key", false)
}

#[test]
fn clauses_are_read_as_bind_reads_them() {
    for text in [
        format!("key \"a.b\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n"),
        format!("key a.b {{ secret {SECRET}; algorithm \"HMAC-SHA256\"; }};"),
        format!(
            "# one\n// two\n/* three\n key x */key A.B. {{ algorithm hmac-sha256.; # four\nsecret \"{SECRET}\"; }};// five"
        ),
        format!("key a.b{{algorithm hmac-sha256;secret \"{}\n {}\";}};", &SECRET[..8], &SECRET[8..]),
    ] {
        let keys = parse(&text).unwrap();
        let key = keys.iter().next().unwrap();
        assert_eq!((key.label.name.as_str(), key.label.algorithm), ("a.b", Algorithm::HmacSha256), "{text}");
        assert_eq!(key.secret.as_slice(), b"marker-secret");
    }
}

#[test]
fn several_keys_keep_their_order_and_know_their_lines() {
    let clause =
        |name: &str, algorithm: &str| format!("key {name} {{ algorithm {algorithm}; secret \"{SECRET}\"; }};\n");
    let text =
        ["hmac-sha224", "hmac-sha384", "hmac-sha512"].map(|algorithm| clause(&algorithm[5..], algorithm)).concat();
    let labels: Vec<_> = parse(&text).unwrap().iter().map(|key| key.label().to_string()).collect();
    assert_eq!(
        labels,
        [
            "key \"sha224\" (hmac-sha224, from rotad.key:1)",
            "key \"sha384\" (hmac-sha384, from rotad.key:2)",
            "key \"sha512\" (hmac-sha512, from rotad.key:3)"
        ]
    );
}

#[test]
fn weak_algorithms_want_a_word() {
    for algorithm in ["hmac-md5", "hmac-sha1", "hmac-md5.sig-alg.reg.int."] {
        let text = format!("key k {{\n algorithm {algorithm};\n secret \"{SECRET}\";\n}};");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with("rotad.key:2: key \"k\" uses hmac-"), "{error}");
        assert!(error.contains("`tsig-keygen k > FILE`") && error.contains("allow_weak_keys"), "{error}");
        assert!(Keys::parse(&text, "rotad.key", true).is_ok());
    }
}

#[test]
fn errors_name_the_line_and_never_the_secret() {
    let good = format!("key k {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};");
    for (text, line, said) in [
        (String::new(), 1, "there is no key in it"),
        ("# nothing".into(), 1, "there is no key in it"),
        (format!("\n{SECRET}"), 2, "only `key` clauses"),
        (format!("{good}\nzone x {{ }};"), 2, "only `key` clauses"),
        (format!("{good}\n{good}"), 2, "defined twice"),
        (format!("key k {{ algorithm hmac-sha256; secret {SECRET} }};"), 1, "\";\" is missing"),
        (format!("key k {{ secret {SECRET}; }};"), 1, "has no `algorithm`"),
        ("key k { algorithm hmac-sha256; };".into(), 1, "has no `secret`"),
        ("key k { algorithm hmac-sha256; secret \"\"; };".into(), 1, "not base64"),
        (format!("key k {{ algorithm hmac-sha256; secret \"{SECRET}x\"; }};"), 1, "not base64"),
        (format!("key k {{ algorithm {SECRET}; secret \"x\"; }};"), 1, "none of hmac-sha256"),
        (format!("key k {{ algorithm hmac-sha256; secret \"{SECRET}"), 1, "no closing quote"),
        (format!("key k {{ algorithm hmac-sha256; secret \"{SECRET}\"; }}"), 1, "\";\" after \"}\" is missing"),
        (format!("key k {{ {SECRET}; }};"), 1, "`algorithm` and `secret` alone"),
        (format!("key {SECRET} {{ }};"), 1, "not a key's name"),
        ("key k".into(), 1, "\"{\" of key \"k\" is missing"),
        ("/* ".into(), 1, "no closing */"),
        ("}".into(), 1, "only `key` clauses"),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains("bWFya2"), "{error}");
    }
}

#[test]
fn the_secret_is_not_shown() {
    let keys = parse(&format!("key k {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};")).unwrap();
    let shown = format!("{keys:?} {keys:#?}");
    assert!(shown.contains("<secret>") && !shown.contains("marker") && !shown.contains("109"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "([ \n\"{};#/*=a-zé0-9]|key |algorithm |secret |hmac-sha256|//|/\\*|\\*/){0,60}") {
        let _ = parse(&text);
    }
}
