//! Components of other versions of the contract. One of a newer patch version loads if this host has everything it uses; one of
//! a newer minor version does not load.

use std::fs;

use serde_json::Value;

use crate::support::{Config, Host, component};

/// A host with an echo bot, or none if the hostile guest is not built.
async fn start() -> Option<Host> {
    component("hostile")?;
    Host::start(Config::new().bot("bot", &["echo"])).await
}

/// Returns the hostile guest as if it had been built against this version of the contract.
fn built_against(version: &str) -> Vec<u8> {
    let mut bytes = fs::read(component("hostile").unwrap()).unwrap();
    // Every import and export contains the version. A version of the same length keeps the lengths of the sections.
    let (package, old) = (b"turntable:bot/", b"@0.1.0");
    assert_eq!(version.len() + 1, old.len());
    let starts: Vec<usize> = (0..bytes.len() - package.len()).filter(|at| bytes[*at..].starts_with(package)).collect();
    for start in starts {
        let name_end = bytes[start..].iter().position(|byte| *byte == b'@').unwrap() + start;
        if bytes[name_end..].starts_with(old) {
            bytes[name_end + 1..name_end + old.len()].copy_from_slice(version.as_bytes());
        }
    }
    bytes
}

/// The component uses only functions that this host has, so their patch version does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_patch_that_uses_known_functions_serves() {
    let Some(host) = start().await else { return };
    let swap = host.deploy("bot", "echo", built_against("0.1.1")).await;
    assert_eq!(swap.status, 200, "{}", swap.text);
    host.bot("bot").says("hi").replies("ok: hi").says("edit").replies("after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_patch_that_uses_more_is_refused_with_what_is_missing() {
    let Some(host) = start().await else { return };
    let newer = wat::parse_str(
        r#"(component
            (import "turntable:bot/config@0.1.1" (instance
                (export "keys" (func (result (list string))))
                (export "watch" (func (param "key" string)))))
            (import "turntable:bot/weather@0.1.1" (instance (export "today" (func (result string))))))"#,
    );
    let answer = host.deploy("bot", "echo", newer.unwrap()).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let problems = answer.json()["error"]["problems"].clone();
    for part in ["`watch` of `turntable:bot/config@0.1.1`", "turntable:bot/weather@0.1.1", "0.1.1 or newer"] {
        assert!(problems.to_string().contains(part), "{part} is missing in {problems:#}");
    }
    assert!(!problems.to_string().contains("`keys`"), "{problems:#}");
    host.bot("bot").says("still").replies("Echo: still").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_minor_is_refused_by_name() {
    let Some(host) = start().await else { return };
    let answer = host.deploy("bot", "echo", built_against("0.2.0")).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let problems: Vec<Value> = answer.json()["error"]["problems"].as_array().unwrap().clone();
    for interface in ["turn", "config", "log", "bot-handler"] {
        let name = format!("`turntable:bot/{interface}@0.2.0`");
        let named = problems.iter().filter(|problem| problem.as_str().unwrap().contains(&name)).count();
        assert_eq!(named, 1, "{name} in {problems:#?}");
    }
    assert!(problems[0].as_str().unwrap().contains("use a newer host, or build for 0.1"), "{problems:#?}");
    host.bot("bot").says("still").replies("Echo: still").await;
}
