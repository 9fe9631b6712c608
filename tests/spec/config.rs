//! Wrong configurations: the binary reports every problem and binds no port.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use similar_asserts::assert_eq;

use crate::support::{Config, Host, component, turntable};

/// The wrong configuration and its expected problems, which the loader's own tests use too.
const WRONG: &str = include_str!("../data/config/wrong.toml");
const PROBLEMS: &str = include_str!("../data/config/wrong.problems");

/// Creates a folder with the layout of the repository. Its components exist but are never compiled.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("plugins")).unwrap();
    fs::create_dir_all(folder.path().join("target/components")).unwrap();
    for name in
        ["help", "welcome", "echo", "cancel", "settings", "travel", "redact", "price-watch", "assistant", "not_a_name"]
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

/// Removes the folder from the text, because it differs in every run.
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
    assert_eq!(said, format!("{PROBLEMS}error: the configuration has problems, so nothing was started\n"));
    assert!(!folder.path().join(".turntable").exists(), "a refused configuration leaves nothing behind");
}

#[test]
fn the_reference_configuration_is_fine() {
    let folder = folder();
    let path = write(folder.path(), include_str!("../../plugins/turntable.toml"));
    let ended = turntable(&["check", "--offline", &path], "");
    assert_eq!(ended.stdout, format!("{path}: 6 bots with 13 plugins, no problems\n"));
    assert_eq!(ended.code, Some(0));
    let report: Value = serde_json::from_str(&turntable(&["check", "--offline", "--json", &path], "").stdout).unwrap();
    assert_eq!(
        report,
        serde_json::json!({ "ok": true, "problems": [], "warnings": [], "bots": [
            { "name": "assistant", "plugins": ["cancel", "assistant"] },
            { "name": "demo", "plugins": ["help", "welcome", "echo"] }, { "name": "echo", "plugins": ["echo"] },
            { "name": "redacted", "plugins": ["redact", "echo"] }, { "name": "stocks", "plugins": ["price-watch"] },
            { "name": "travel", "plugins": ["help", "cancel", "settings", "travel"] }
        ] })
    );
}

/// The components of the reference configuration conform to it.
#[test]
fn the_reference_configuration_loads() {
    let folder = folder();
    for name in ["help", "welcome", "echo", "cancel", "settings", "travel", "redact", "price-watch", "assistant"] {
        let Some(component) = component(name) else { return };
        fs::copy(component, folder.path().join(format!("target/components/{name}.wasm"))).unwrap();
    }
    let path = write(folder.path(), include_str!("../../plugins/turntable.toml"));
    let ended = turntable(&["check", &path], "");
    assert_eq!(ended.stdout, format!("{path}: 6 bots with 13 plugins, no problems\n"));
    assert_eq!(ended.code, Some(0));
    assert!(!folder.path().join(".turntable").exists(), "a check leaves nothing behind");
}

/// Each of these files would make a start fail.
#[test]
fn check_tells_of_files_that_would_stop_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[admin]\ntoken-file = 'open'\n[storage]\npath = 'text'\n[runtime]\ndata-dir = 'text/data'\n\
                cache-dir = 'text'\n[bots.bot]\nnotify-key-file = 'open'\n[[bots.bot.plugins]]\ncomponent = 'echo.wasm'\n";
    fs::write(folder.path().join("open"), "a key that everybody may read, of enough characters").unwrap();
    fs::set_permissions(folder.path().join("open"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(folder.path().join("text"), "no store and no folder").unwrap();
    fs::write(folder.path().join("echo.wasm"), "not looked at").unwrap();
    let path = folder.path().join("turntable.toml");
    fs::write(&path, text).unwrap();
    let ended = turntable(&["check", "--offline", path.to_str().unwrap()], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for (line, message) in [
        (2, "its mode is 0644"),
        (4, "it is not a file of SQLite"),
        (6, "text is a file"),
        (7, "text is a file"),
        (9, "its mode is 0644"),
    ] {
        let is_told = |told: &str| told.contains(&format!(":{line}:")) && told.contains(message);
        assert!(ended.stdout.lines().any(is_told), "line {line}: {message} is missing in\n{}", ended.stdout);
    }
}

/// A problem that appears only when a bot is loaded is also reported with its line.
#[test]
fn check_tells_of_bots_that_would_not_serve() {
    let config = |name: &str| {
        let plugin = |key: &str| format!("[bots.{name}.plugins.{key}]\n");
        (format!("[[bots.{name}.plugins]]\ncomponent = 'components/"), plugin("settings"), plugin("grants"))
    };
    let (begin, settings, grants) = config("bot");
    let text = format!(
        "[bots.locked]\napp-id = '11111111-1111-1111-1111-111111111111'\nnotify-key-file = 'none'\n[[bots.locked.plugins]]\ncomponent = 'components/echo.wasm'\n\
         {begin}help.wasm'\n{settings}text = ''\n{begin}travel.wasm'\n{begin}cancel.wasm'\n{begin}broken.wasm'\n\
         {begin}echo.wasm'\n{grants}dialogs = true\n{begin}welcome.wasm'\nname = 'two'\n{settings}txt = 'hi'\n\
         {begin}cancel.wasm'\nname = 'denied'\n{grants}dialogs = false\n"
    );
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("components")).unwrap();
    for name in ["help", "cancel", "echo", "welcome", "travel"] {
        let Some(component) = component(name) else { return };
        fs::copy(component, folder.path().join(format!("components/{name}.wasm"))).unwrap();
    }
    fs::write(folder.path().join("components/broken.wasm"), "no component").unwrap();
    let path = folder.path().join("turntable.toml");
    fs::write(&path, &text).unwrap();
    let ended = turntable(&["check", path.to_str().unwrap()], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let line_of = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let told = |line: usize, message: &str| {
        let found = ended.stdout.lines().any(|told| told.contains(&format!(":{line}:")) && told.contains(message));
        assert!(found, "line {line}: {message} is missing in\n{}", ended.stdout);
    };
    told(line_of("app-id"), "warning: bot \"locked\" has an `app-id` and no credential in `auth`");
    told(line_of("notify-key-file"), "none does not exist");
    told(line_of("text = ''"), "bot \"bot\", plugin \"help\": settings: `text`");
    told(line_of("travel.wasm") - 1, "plugin \"travel\" has the role `dialogs`, which does nothing without its grant");
    told(line_of("travel.wasm") - 1, "warning: bot \"bot\", plugin \"travel\" asks for `grants.state = [\"user\"]`");
    told(line_of("cancel.wasm") - 1, "warning: bot \"bot\", plugin \"cancel\" asks for `grants.dialogs = true`");
    told(line_of("broken.wasm"), "bot \"bot\", plugin \"broken\": ");
    told(line_of("dialogs = true"), "warning: bot \"bot\", plugin \"echo\" does not ask for `grants.dialogs = true`");
    told(line_of("txt = 'hi'"), "plugin \"two\": settings: `txt`: the plugin has no such setting");
    assert!(!ended.stdout.contains("denied\""), "the file says that it shall do without: {}", ended.stdout);
    assert!(ended.stdout.ends_with("\n5 problems\n"), "{}", ended.stdout);
    let json = turntable(&["check", "--json", path.to_str().unwrap()], "");
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let count = |list: &str| report[list].as_array().map(Vec::len);
    assert_eq!((&report["ok"], count("problems"), count("warnings")), (&Value::Bool(false), Some(5), Some(5)));
    // With `--offline` only the problems in the file itself are reported.
    let offline = turntable(&["check", "--offline", path.to_str().unwrap()], "");
    assert!(offline.code == Some(1) && offline.stdout.ends_with("\n1 problem\n"), "{offline:?}");
}

/// A problem in the file hides no other problem, and a problem of a plugin hides none of another.
#[test]
fn check_tells_all_problems_together() {
    let text = "colour = 'red'\n[server]\nlistn = '127.0.0.1:0'\n[storage]\npath = 'text'\n\
                [bots.half]\ntitel = 'x'\n[[bots.half.plugins]]\ncomponent = 'none.wasm'\n\
                [[bots.half.plugins]]\ncomponent = 'welcome.wasm'\nsettings.txt = 'hi'\ngrants.dialogs = true\n\
                [[bots.half.plugins]]\ncomponent = 'echo.wasm'\non-failure = 'ignore'\n\
                [bots.whole]\napp-id = '1'\n[[bots.whole.plugins]]\ncomponent = 'broken.wasm'\n";
    let folder = tempfile::tempdir().unwrap();
    for name in ["welcome", "echo"] {
        let Some(component) = component(name) else { return };
        fs::copy(component, folder.path().join(format!("{name}.wasm"))).unwrap();
    }
    fs::write(folder.path().join("broken.wasm"), "no component").unwrap();
    fs::write(folder.path().join("text"), "this is not a store").unwrap();
    let path = folder.path().join("turntable.toml");
    fs::write(&path, text).unwrap();
    let ended = turntable(&["check", path.to_str().unwrap()], "");
    for (part, message) in [
        ("colour", "unknown key `colour`"),
        ("listn", "unknown key `server.listn`"),
        ("path = ", "text is not a store"),
        ("titel", "unknown key `bots.half.titel`"),
        ("none.wasm", "none.wasm does not exist"),
        ("settings.txt", "bot \"half\", plugin \"welcome\": settings: `txt`"),
        ("grants.dialogs", "warning: bot \"half\", plugin \"welcome\" does not ask for `grants.dialogs = true`"),
        ("on-failure", "`bots.half.plugins[2].on-failure` must be"),
        ("app-id", "`bots.whole.app-id`: \"1\" is not an id"),
        ("broken.wasm", "bot \"whole\", plugin \"broken\": "),
    ] {
        let line = text.lines().position(|line| line.contains(part)).unwrap() + 1;
        let is_told = |told: &str| told.contains(&format!(":{line}:")) && told.contains(message);
        assert!(ended.stdout.lines().any(is_told), "line {line}: {message} is missing in\n{}", ended.stdout);
    }
    assert!(ended.code == Some(1) && ended.stdout.ends_with("\n9 problems\n"), "{ended:?}");
}

/// A problem of a setting has the line of its key and the name as written, in every TOML notation.
#[test]
fn a_problem_of_a_setting_has_the_line_of_its_key() {
    let Some(component) = component("welcome") else { return };
    let begin = "[[bots.b.plugins]]\ncomponent = 'welcome.wasm'\n";
    let forms = [
        ("dotted", "settings.extra = 1", "settings: `extra`"),
        ("header", "[bots.b.plugins.settings]\n# before it\nextra = 1", "settings: `extra`"),
        ("inline", "settings = {\n  greeting = 'hi',\n  extra = 1 }", "settings: `extra`"),
        ("quoted", "[bots.b.plugins.settings]\n'ex/tra ~1' = 1", "settings: `\"ex/tra ~1\"`"),
        ("table", "[bots.b.plugins.settings]\n[bots.b.plugins.settings.extra]\nx = 1", "settings: `extra`"),
        ("deep", "[bots.b.plugins.settings.extra.deep]\nx = 1", "settings: `extra`"),
        ("deep-dotted", "settings.greeting = 'hi'\nsettings.extra.a.b = 1", "settings: `extra`"),
        ("tables", "[[bots.b.plugins.settings.extra]]\nx = 1", "settings: `extra`"),
    ];
    let folder = tempfile::tempdir().unwrap();
    fs::copy(component, folder.path().join("welcome.wasm")).unwrap();
    let path = folder.path().join("turntable.toml");
    let plugins: Vec<String> =
        forms.iter().map(|(name, form, _)| format!("{begin}name = '{name}'\n{form}\n")).collect();
    let text = plugins.concat();
    fs::write(&path, &text).unwrap();
    let ended = turntable(&["check", path.to_str().unwrap()], "");
    let mut lines_before = 0;
    for ((name, _, message), plugin) in forms.iter().zip(&plugins) {
        let key = plugin.lines().position(|line| line.contains("extra") || line.contains("ex/tra")).unwrap();
        let line = lines_before + key + 1;
        lines_before += plugin.lines().count();
        let told = format!("bot \"b\", plugin \"{name}\": {message}");
        let is_told = |told_of: &str| told_of.contains(&format!(":{line}:")) && told_of.contains(&told);
        assert!(ended.stdout.lines().any(is_told), "line {line}: {told} is missing in\n{}", ended.stdout);
    }
    assert!(ended.stdout.ends_with(&format!("\n{} problems\n", forms.len())), "{ended:?}");
}

/// `check` takes no lock and changes no file of a host that runs with the same configuration.
#[tokio::test(flavor = "multi_thread")]
async fn check_does_not_disturb_a_running_host() {
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    host.bot("echo").says("hi").replies("Echo: hi").await;
    let ended = turntable(&["check", host.config().to_str().unwrap()], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    host.bot("echo").says("still there?").replies("Echo: still there?").await;
    assert_eq!(host.status("echo").await["generation"], 1);
}

/// A bot without an app id is served on loopback only, even if the command line moves the listener.
#[test]
fn an_anonymous_bot_is_not_served_to_the_network() {
    let folder = folder();
    let path = write(folder.path(), "[[bots.a.plugins]]\ncomponent = '../target/components/echo.wasm'\n");
    let ended = turntable(&["serve", "--listen", "0.0.0.0:0", &path], "");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("1:8: bot \"a\" has no `app-id`"), "{}", ended.stderr);
}
