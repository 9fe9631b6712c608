#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;
use url::Url;

use super::*;

fn rule(url: &str) -> HttpRule {
    HttpRule { methods: Methods::all(), ..HttpRule::parse(url).unwrap() }
}

fn covers(rule_url: &str, url: &str) -> bool {
    rule(rule_url).covers(&Url::parse(url).unwrap(), "GET")
}

#[test]
fn a_rule_covers_scheme_host_port_and_path() {
    assert!(covers("https://api.example.com", "https://api.example.com/any?thing"));
    assert!(covers("https://api.example.com", "https://API.Example.COM:443/"));
    assert!(covers("https://bücher.example", "https://xn--bcher-kva.example/"));
    for other in [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://example.com/",
        "https://api.example.com.evil.org/",
        "https://evilapi.example.com/",
        "https://api.example.com./",
    ] {
        assert!(!covers("https://api.example.com", other), "{other}");
    }
    assert!(covers("http://[::1]:81", "http://[0:0::1]:81/"));
    assert!(covers("http://127.0.0.1", "http://0x7f.1/"));
}

#[test]
fn a_suffix_covers_names_below_it_only() {
    assert!(covers("https://*.example.com", "https://a.example.com/"));
    assert!(covers("https://*.example.com", "https://a.b.example.com/"));
    assert!(!covers("https://*.example.com", "https://example.com/"));
    assert!(!covers("https://*.example.com", "https://evilexample.com/"));
    assert!(!covers("https://*.example.com", "https://.example.com/"));
}

#[test]
fn a_path_prefix_ends_at_a_segment_and_takes_no_tricks() {
    for good in ["/v1", "/v1/", "/v1/x", "/v1?x=/../y", "/v1/a/../b", "/v1/a.b", "/v1/%41"] {
        assert!(covers("https://a.example/v1", &format!("https://a.example{good}")), "{good}");
    }
    for bad in [
        "/v10",
        "/v",
        "/",
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/..;/admin",
        "/v1//x",
        "/v1/%2Fx",
        "/v1/%5cx",
        "/v1/%252e%252e/x",
        "/V1/x",
        "/v1/%00",
    ] {
        assert!(!covers("https://a.example/v1", &format!("https://a.example{bad}")), "{bad}");
    }
    assert!(!covers("https://a.example/v1/", "https://a.example/v1"));
}

#[test]
fn methods_are_get_and_head_unless_others_are_listed() {
    let url = Url::parse("https://a.example/").unwrap();
    let rule = HttpRule::parse("https://a.example").unwrap();
    let all = HttpRule { methods: Methods::all(), ..rule.clone() };
    assert!(all.covers(&url, "DELETE") && !all.covers(&url, "CONNECT") && !all.covers(&url, "TRACE"));
    assert!(rule.covers(&url, "GET") && rule.covers(&url, "HEAD") && !rule.covers(&url, "POST"));
}

#[test]
fn unusable_rules_are_told() {
    for url in [
        "ftp://a.example",
        "a.example",
        "https://",
        "https://*.com",
        "https://a.*.example",
        "https://a.example:0",
        "https://a.example:99999",
        "https://a.example/x?y",
        "https://a.example/*",
        "https://a.example/../x",
        "https://user@a.example",
        "https://*.1.2",
        "https://a.example.",
        "https://a b.example",
    ] {
        assert!(HttpRule::parse(url).is_err(), "{url}");
    }
}

#[test]
fn two_rules_allow_what_both_cover() {
    let both = |one: &str, two: &str| rule(one).and(&rule(two)).map(|rule| rule.url());
    assert_eq!(both("https://*/", "https://a.example/v1/"), Some("https://a.example/v1/".to_owned()));
    assert_eq!(both("https://*/", "https://a.example:8443"), Some("https://a.example:8443/".to_owned()));
    assert_eq!(both("https://*:1/", "https://a.example:8443"), None);
    assert_eq!(both("https://*.b.example", "https://*.example.org"), None);
    assert_eq!(both("https://*.x.example.org", "https://*.example.org"), Some("https://*.x.example.org/".to_owned()));
    assert_eq!(
        both("https://a.example.org/v1/", "https://*.example.org/v1/x"),
        Some("https://a.example.org/v1/x".to_owned())
    );
    assert_eq!(both("https://a.example/v1", "https://a.example/v2"), None);
    assert_eq!(both("https://a.example", "http://a.example"), None);
    let get = HttpRule::parse("https://a.example").unwrap();
    assert_eq!(get.and(&rule("https://a.example")).unwrap().methods, Methods::default());
    let post = HttpRule { methods: Methods::one("POST"), ..get.clone() };
    assert_eq!(get.and(&post), None);
}

#[test]
fn a_manifest_asks_with_urls_and_methods() {
    let rules = wanted(&json!(["https://a.example", { "url": "https://*/", "methods": ["POST"] }])).unwrap();
    let texts: Vec<String> = rules.iter().map(|grant| grant.rule.to_string()).collect();
    assert_eq!(texts, ["{ url = \"https://a.example/\" }", "{ url = \"https://*/\", methods = [\"POST\"] }"]);
    for bad in [
        json!("https://a.example"),
        json!([1]),
        json!([{ "url": "x" }]),
        json!([{ "url": "https://a.example", "methods": ["post"] }]),
    ] {
        assert!(wanted(&bad).is_err(), "{bad}");
    }
}
