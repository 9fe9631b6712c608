//! Projects of bots, as a stranger has them: outside this repository, with nothing but the binary.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::command::{Ended, binary};
use crate::support::{component, skip};

const LANGUAGES: [&str; 6] = ["rust", "typescript", "javascript", "python", "go", "c"];
const TEMPLATES: [&str; 3] = ["echo", "dialog", "middleware"];

/// Runs the binary in a folder, with the cache of tools of this machine.
fn turntable(folder: &Path, args: &[&str]) -> Ended {
    let mut command = binary();
    if let Some(cache) = std::env::var_os("TURNTABLE_CACHE") {
        command.env("TURNTABLE_CACHE", cache);
    }
    // Cargo of the specs sets them for its own compiler.
    command.env_remove("LD_LIBRARY_PATH").env_remove("CARGO_TARGET_DIR");
    let output = command.args(args).current_dir(folder).stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn new(folder: &TempDir, language: &str, template: &str) -> PathBuf {
    let created = turntable(folder.path(), &["new", "my-bot", "--lang", language, "--template", template]);
    assert_eq!(created.code, Some(0), "{created:?}");
    let project = folder.path().join("my-bot");
    // A component with an interpreter takes long to compile on a busy machine.
    let config = project.join("turntable.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, format!("{text}\n[runtime]\ncompile-ms = 600000\n")).unwrap();
    project
}

/// Whether the guests of a language were built, so that its tools are there.
fn has_tools(language: &str) -> bool {
    let guest = match language {
        "rust" => "portable-rust",
        "python" => "portable-python-sdk",
        "go" => "portable-go",
        "c" => "portable-c",
        _ => "portable-typescript",
    };
    component(guest).is_some()
}

/// Builds and tests a project of each template.
fn builds_and_holds_its_conversation(language: &str) {
    builds_and_holds(language, &TEMPLATES);
}

fn builds_and_holds(language: &str, templates: &[&str]) {
    if !has_tools(language) {
        return;
    }
    for template in templates {
        let folder = TempDir::new().unwrap();
        let project = new(&folder, language, template);
        let built = turntable(&project, &["build"]);
        assert_eq!(built.code, Some(0), "{language} {template}: {built:?}");
        let tested = turntable(&project, &["test"]);
        assert_eq!(tested.code, Some(0), "{language} {template}: {tested:?}");
        assert!(tested.stdout.contains("1 conversations: 0 differ, 0 could not run"), "{tested:?}");
        let inspected = turntable(&project, &["inspect", "build/bot.wasm"]);
        assert!(inspected.stdout.contains("my-bot"), "{language} {template}: {inspected:?}");
    }
}

#[test]
fn a_typescript_project_builds_and_holds_its_conversation() {
    builds_and_holds_its_conversation("typescript");
}

#[test]
fn a_javascript_project_builds_and_holds_its_conversation() {
    builds_and_holds_its_conversation("javascript");
}

#[test]
fn a_python_project_builds_and_holds_its_conversation() {
    builds_and_holds_its_conversation("python");
}

/// A component of Go takes long to compile, so one template is enough; the compiler checks the others.
#[test]
fn a_go_project_builds_and_holds_its_conversation() {
    builds_and_holds("go", &["dialog"]);
    if !has_tools("go") {
        return;
    }
    for template in ["echo", "middleware"] {
        let folder = TempDir::new().unwrap();
        let built = turntable(&new(&folder, "go", template), &["build"]);
        assert_eq!(built.code, Some(0), "{template}: {built:?}");
    }
}

#[test]
fn a_c_project_builds_and_holds_its_conversation() {
    builds_and_holds_its_conversation("c");
}

/// Compiles the SDK anew, without the packages of this workspace; one template is enough.
#[test]
fn a_rust_project_builds_and_holds_its_conversation() {
    if !has_tools("rust") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let project = new(&folder, "rust", "dialog");
    // The same versions as in this workspace, which cargo has downloaded already.
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).unwrap();
    let built = turntable(&project, &["build"]);
    if built.stderr.contains("rustup target add") {
        skip(
            "a project in Rust: this machine has no target wasm32-wasip2, and `turntable build` uses no other compiler",
        );
        return;
    }
    assert_eq!(built.code, Some(0), "{built:?}");
    let tested = turntable(&project, &["test"]);
    assert_eq!(tested.code, Some(0), "{tested:?}");
}

#[test]
fn a_conversation_that_differs_is_shown() {
    if !has_tools("typescript") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let project = new(&folder, "typescript", "echo");
    let bot = project.join("src/bot.ts");
    let source = std::fs::read_to_string(&bot).unwrap();
    std::fs::write(&bot, source.replace("Echo: ", "You said: ")).unwrap();
    assert_eq!(turntable(&project, &["build"]).code, Some(0));
    let tested = turntable(&project, &["test", "--junit", "build/report.xml"]);
    assert_eq!(tested.code, Some(1), "{tested:?}");
    assert!(tested.stdout.contains("- bot: Echo: hello\n+ bot: You said: hello"), "{tested:?}");
    let report = std::fs::read_to_string(project.join("build/report.xml")).unwrap();
    assert!(report.contains("tests=\"1\" failures=\"1\" errors=\"0\""), "{report}");
    assert!(report.contains("name=\"tests/echo.chat\"") && report.contains("+ bot: You said: hello"), "{report}");
}

/// Each mistake is named with its file, its line and what to do.
#[test]
fn mistakes_in_typescript_are_named() {
    let mistakes: [(&str, &[&str]); 5] = [
        ("export default defineBot({ onMessage(turn) { turn.reply( } });", &["src/bot.ts(2,58)", "expected"]),
        ("export const other = 1;", &["the module has no bot", "export default defineBot"]),
        ("export default defineBot({ onMessage(turn) { return 5; } });", &["src/bot.ts(2,28)", "not assignable"]),
        (
            "import pad from 'left-pad';\nexport default defineBot({ onMessage: (turn) => pad(turn.text) });",
            &["src/bot.ts(2,17)", "left-pad"],
        ),
        ("export default defineBot({ onMesage(turn) {} });", &["onMesage"]),
    ];
    fails_to_build("typescript", "src/bot.ts", "import { defineBot } from 'turntable-sdk';\n", &mistakes);
}

#[test]
fn mistakes_in_javascript_are_named() {
    let mistakes: [(&str, &[&str]); 6] = [
        ("export default defineBot({ onMessage(turn) { turn.reply( } });", &["src/bot.js:2:57", "Unexpected"]),
        ("export const other = 1;", &["the module has no bot", "export default defineBot"]),
        ("import pad from 'left-pad';\nexport default pad;", &["src/bot.js:2:16", "npm install left-pad"]),
        ("import fs from 'node:fs';\nexport default fs;", &["src/bot.js:2:15", "no files, sockets or processes"]),
        ("export default defineBot({ onMesage(turn) {} });", &["has a handler `onMesage`, which no activity reaches"]),
        ("export default fetch('https://example.org');", &["fetch does not exist in a bot", "no outbound HTTP"]),
    ];
    fails_to_build("javascript", "src/bot.js", "import { defineBot } from 'turntable-sdk';\n", &mistakes);
}

#[test]
fn mistakes_in_python_are_named() {
    let mistakes: [(&str, &[&str]); 5] = [
        ("class Echo(Bot)\n    pass\n", &["bot.py:2:", "error: expected ':'"]),
        ("import pads_left\n\n\nclass Echo(Bot):\n    pass\n", &["bot.py", "pip install --target vendor pads_left"]),
        (
            "import socket\n\n\nclass Echo(Bot):\n    pass\n",
            &["bot.py:2:1: error: a bot cannot use `socket`: a bot has no sockets"],
        ),
        ("x = 1\n", &["must define one class that inherits from `Bot`; it defines none"]),
        (
            "class Echo(Bot):\n    def on_mesage(self, turn):\n        pass\n",
            &["has a handler `on_mesage`, which no activity reaches"],
        ),
    ];
    fails_to_build("python", "bot.py", "from turntable_sdk import Bot\n", &mistakes);
}

#[test]
fn mistakes_in_go_are_named() {
    let rest = "func init() { turntable.Register(&bot) }\nfunc main() {}\n";
    let with = |mistake: &str| format!("{mistake}\n{rest}");
    let mistakes = [
        (with("var bot = turntable.Bot{"), ["bot.go:", "syntax error"]),
        ("func main() {}\n".to_owned(), ["no file of package main registers the bot", "add `func init()"]),
        (with("var bot = turntable.Bot{OnMesage: nil}"), ["bot.go:4:", "unknown field OnMesage"]),
        (
            with("import \"net/http\"\nvar bot turntable.Bot"),
            ["bot.go:4:1: a bot cannot use the package `net/http`", "no outbound HTTP"],
        ),
        (with("import \"example.org/pad\"\nvar bot turntable.Bot"), ["bot.go:4:8", "go get example.org/pad"]),
        (
            with("var bot = turntable.Bot{OnMessage: func(*turntable.Turn) int { return 5 }}"),
            ["bot.go:4:", "cannot use func"],
        ),
    ];
    let mistakes: Vec<(&str, &[&str])> = mistakes.iter().map(|(source, said)| (source.as_str(), &said[..])).collect();
    fails_to_build("go", "bot.go", "package main\n\nimport \"turntable\"\n", &mistakes);
}

#[test]
fn mistakes_in_c_are_named() {
    let mistakes: [(&str, &[&str]); 5] = [
        ("tt_bot turntable_bot = { .name = ;\n", &["bot.c:2:", "error: expected expression"]),
        ("int x;\n", &["no C file defines the bot; bot.c must define the bot"]),
        ("tt_bot turntable_bot = { .on_mesage = 0 };\n", &["bot.c:2:", "on_mesage"]),
        ("#include \"pad.h\"\ntt_bot turntable_bot;\n", &["bot.c:2:", "'pad.h' file not found"]),
        (
            "static tt_flow f(tt_turn *turn) { tt_replay(turn, \"\"); }\ntt_bot turntable_bot = { .on_message = f };\n",
            &["bot.c:2:", "tt_replay"],
        ),
    ];
    fails_to_build("c", "bot.c", "#include \"turntable.h\"\n", &mistakes);
}

/// Writes each mistake into a project. Its build must fail and say these texts.
fn fails_to_build(language: &str, file: &str, begin: &str, mistakes: &[(&str, &[&str])]) {
    if !has_tools(language) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let project = new(&folder, language, "echo");
    for (source, texts) in mistakes {
        std::fs::write(project.join(file), format!("{begin}{source}")).unwrap();
        let built = turntable(&project, &["build"]);
        assert_eq!(built.code, Some(1), "{source}: {built:?}");
        for text in *texts {
            assert!(built.stderr.contains(text), "{source}: `{text}` is missing in:\n{}", built.stderr);
        }
        assert!(!project.join("build/bot.wasm").exists(), "{source}: a component was written");
    }
}

#[test]
fn new_overwrites_nothing_and_takes_only_names() {
    let folder = TempDir::new().unwrap();
    let refused: [(&[&str], &str); 7] = [
        (&["new", "My Bot", "--lang", "rust"], "cannot be the name of a bot: a name has 1 to 64 lower-case letters"),
        (&["new", "../bot", "--lang", "rust"], "cannot be the name of a bot"),
        (&["new", "bot", "--lang", "zig"], "there is no SDK for zig in this release"),
        (&["new", "bot", "--lang", "c#"], "does not compile to a component"),
        (&["new", "bot", "--lang", "cobol"], "`cobol` is not a language that `turntable new` knows"),
        (&["new", "bot", "--lang", "rust", "--template", "shop"], "`shop` is not a template: echo, dialog, middleware"),
        (&["new", "bot"], "choose a language with --lang: one of rust, typescript, javascript, python, go, c"),
    ];
    for (args, said) in refused {
        let ended = turntable(folder.path(), args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{args:?}: {ended:?}");
        assert!(!folder.path().join("bot").exists(), "{args:?}");
    }
    let project = new(&folder, "python", "echo");
    std::fs::write(project.join("bot.py"), "mine").unwrap();
    let again = turntable(folder.path(), &["new", "my-bot", "--lang", "python"]);
    assert!(again.stderr.contains("is not empty; choose another name, or delete the folder"), "{again:?}");
    assert_eq!(std::fs::read_to_string(project.join("bot.py")).unwrap(), "mine");
}

#[test]
fn every_language_and_template_can_be_created() {
    for language in LANGUAGES {
        for template in TEMPLATES {
            let folder = TempDir::new().unwrap();
            let project = new(&folder, language, template);
            std::fs::create_dir(project.join("build")).unwrap();
            std::fs::write(project.join("build/bot.wasm"), "").unwrap();
            let checked = turntable(&project, &["check", "--offline"]);
            assert_eq!(checked.code, Some(0), "{language} {template}: {checked:?}");
        }
    }
}

#[test]
fn a_build_says_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let ended = turntable(folder.path(), &["build"]);
    assert!(ended.stderr.contains("it has no Cargo.toml, package.json, pyproject.toml, go.mod or bot.c"), "{ended:?}");
    let project = new(&folder, "python", "echo");
    let mut build = binary();
    build.env("TURNTABLE_CACHE", folder.path().join("cache")).arg("build").current_dir(&project);
    let said = String::from_utf8(build.output().unwrap().stderr).unwrap();
    assert!(said.contains("is not installed for Turntable. Run `turntable build --install`"), "{said}");
    let mut build = binary();
    build.env("PATH", folder.path()).env("TURNTABLE_CACHE", folder.path().join("cache"));
    let ended = build.args(["build", "--install"]).current_dir(&project).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("no usable `python3` was found; install Python 3.10 or newer"), "{said}");
    std::fs::rename(project.join("pyproject.toml"), project.join("package.json")).unwrap();
    let mut build = binary();
    build.env("PATH", folder.path()).arg("build").current_dir(&project);
    let said = String::from_utf8(build.output().unwrap().stderr).unwrap();
    assert!(said.contains("`node` does not run; install Node 20 or newer"), "{said}");
    std::fs::rename(project.join("package.json"), project.join("Cargo.toml")).unwrap();
    let mut build = binary();
    build.env("PATH", folder.path()).arg("build").current_dir(&project);
    let said = String::from_utf8(build.output().unwrap().stderr).unwrap();
    assert!(said.contains("`rustc` does not run or is too old; install Rust"), "{said}");
}
