//! Bad configuration: the built binary says everything that is wrong, and binds nothing.

use std::fs;
use std::path::Path;

use serde_json::Value;
use similar_asserts::assert_eq;

use crate::support::turntable;

/// The golden pair that the loader's own tests use: what is wrong, and what is said of it.
const WRONG: &str = include_str!("../data/config/wrong.toml");
const PROBLEMS: &str = include_str!("../data/config/wrong.problems");

/// A folder laid out like the repository, with components that are there but never compiled.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("plugins")).unwrap();
    fs::create_dir_all(folder.path().join("target/components")).unwrap();
    for name in
        ["help", "welcome", "echo", "cancel", "settings", "travel", "redact", "price-watch", "redact", "not_a_name"]
    {
        fs::write(folder.path().join(format!("target/components/{name}.wasm")), b"\0asm").unwrap();
    }
    folder
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("plugins/turntable.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Returns the text without the folder, which differs in every run.
fn relative(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "").replace("plugins/turntable.toml:", "")
}

#[test]
fn check_lists_every_problem_and_exits_with_1() {
    let folder = folder();
    let path = write(folder.path(), WRONG);
    let ended = turntable(&["check", &path], "");
    assert_eq!(ended.code, Some(1));
    let total = format!("{} problems", PROBLEMS.lines().count());
    assert_eq!(relative(&ended.stdout, folder.path()), format!("{PROBLEMS}\n{total}\n"));
    assert_eq!(ended.stderr, "");
}

#[test]
fn check_speaks_json_where_a_script_asks() {
    let folder = folder();
    let path = write(folder.path(), WRONG);
    let ended = turntable(&["check", "--json", &path], "");
    assert_eq!(ended.code, Some(1));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), PROBLEMS.lines().count());
    let first =
        format!("{}:{}: {}", problems[0]["line"], problems[0]["column"], problems[0]["message"].as_str().unwrap());
    assert_eq!(Some(first.as_str()), PROBLEMS.lines().next());
}

#[test]
fn serve_says_the_same_and_starts_nothing() {
    let folder = folder();
    let path = write(folder.path(), WRONG);
    let ended = turntable(&["serve", &path], "");
    assert_eq!(ended.code, Some(1));
    let said = relative(&ended.stderr, folder.path());
    assert_eq!(said, format!("{PROBLEMS}error: the configuration is not usable, so nothing was started\n"));
    assert!(!folder.path().join(".turntable").exists(), "a refused configuration leaves nothing behind");
}

#[test]
fn the_reference_configuration_is_fine() {
    let folder = folder();
    let path = write(folder.path(), include_str!("../../plugins/turntable.toml"));
    let ended = turntable(&["check", &path], "");
    assert_eq!(ended.stdout, format!("{path}: 5 bots with 11 plugins, no problems\n"));
    assert_eq!(ended.code, Some(0));
    let report: Value = serde_json::from_str(&turntable(&["check", "--json", &path], "").stdout).unwrap();
    assert_eq!(
        report,
        serde_json::json!({ "ok": true, "problems": [], "bots": [
            { "name": "demo", "plugins": ["help", "welcome", "echo"] }, { "name": "echo", "plugins": ["echo"] },
            { "name": "redacted", "plugins": ["redact", "echo"] }, { "name": "stocks", "plugins": ["price-watch"] },
            { "name": "travel", "plugins": ["help", "cancel", "settings", "travel"] }
        ] })
    );
}

/// A bot without an app id is for loopback, also where the command line moves the listener.
#[test]
fn an_anonymous_bot_is_not_served_to_the_network() {
    let folder = folder();
    let path = write(folder.path(), "[[bots.a.plugins]]\ncomponent = '../target/components/echo.wasm'\n");
    let ended = turntable(&["serve", "--listen", "0.0.0.0:0", &path], "");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("1:8: bot \"a\" has no `app-id`"), "{}", ended.stderr);
}
