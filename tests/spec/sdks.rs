//! The test hosts of the SDKs, which run bots without WebAssembly. `turntable testbed` leads their turns.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{component, skip};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the folder of a language's tools, which `guest-sdk/toolchain.sh` filled.
fn tools(kind: &str, lock: &str) -> Option<PathBuf> {
    use sha2::{Digest, Sha256};
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("TURNTABLE_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("turntable")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/turntable")))?;
    let digest = hex::encode(Sha256::digest(std::fs::read(root().join(lock)).unwrap()));
    let found = cache.join(format!("{kind}-{}", &digest[..16]));
    found.join("done").is_file().then_some(found)
}

fn succeeds(command: &mut Command) {
    let output = command.env("TURNTABLE", env!("CARGO_BIN_EXE_turntable")).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{text}");
}

#[test]
fn the_test_host_of_the_typescript_sdk_is_true_to_the_host() {
    if component("parity-typescript").is_none() {
        return;
    }
    let Some(tools) = tools("node", "guest-sdk/typescript/tools/package-lock.json") else {
        skip("the tests of the TypeScript SDK: its tools are not installed; `make guests` installs them");
        return;
    };
    let mut node = Command::new("node");
    node.args(["--test", "tests/"]).current_dir(root().join("guest-sdk/typescript")).env("TURNTABLE_TOOLS", tools);
    succeeds(&mut node);
}

#[test]
fn the_test_host_of_the_python_sdk_is_true_to_the_host() {
    if component("parity-python").is_none() {
        return;
    }
    let Some(tools) = tools("python", "guest-sdk/python/tools/requirements.txt") else {
        skip("the tests of the Python SDK: its tools are not installed; `make guests` installs them");
        return;
    };
    let mut python = Command::new(tools.join("bin/python"));
    python.args(["-m", "unittest", "discover", "-s", "tests"]).current_dir(root().join("guest-sdk/python"));
    succeeds(&mut python);
}

#[test]
fn the_test_host_of_the_go_sdk_is_true_to_the_host() {
    if component("parity-go").is_none() {
        return;
    }
    // The cache has Go if the machine had none that is new enough.
    let cached = tools("go", "guest-sdk/go/tools/requirements.txt");
    for folder in ["tests/guests/go/parity", "guest-sdk/go"] {
        let mut go = Command::new(cached.as_ref().map_or("go".into(), |tools| tools.join("bin/go")));
        succeeds(go.args(["test", "./..."]).current_dir(root().join(folder)).env("GOWORK", "off"));
    }
}

#[test]
fn the_test_host_of_the_c_sdk_is_true_to_the_host() {
    if component("parity-c").is_none() {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let programs: [(&str, &[&str], &[&str]); 2] = [
        ("sdk", &["guest-sdk/c/tests"], &[]),
        (
            "parity",
            &["tests/guests/c/parity", "tests/guests/c/parity/tests"],
            &["tests/guests/parity/conversations.txt"],
        ),
    ];
    for (name, folders, arguments) in programs {
        let program = folder.path().join(name);
        // The compiler that links Rust programs, because the one of the tools builds a libc first.
        let mut cc = Command::new("cc");
        cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"]).arg(root().join("guest-sdk/c/include"));
        for sources in ["guest-sdk/c/src", "guest-sdk/c/testing"].iter().chain(folders) {
            cc.args(c_files(&root().join(sources)));
        }
        succeeds(cc.arg("-o").arg(&program));
        succeeds(Command::new(program).args(arguments).current_dir(root()));
    }
}

fn c_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect()
}

/// What an SDK can do, and the spec that shows it in Rust, in TypeScript and JavaScript, in Python, in Go, and in C. A spec
/// is `FILE::TEST`, and in `travel` a module.
const CAPABILITIES: &[(&str, [&str; 5])] = &[
    (
        "handlers, settings, log, cards, faults",
        ["portable::rust", "portable::typescript", "portable::python_sdk", "portable::go", "portable::c"],
    ),
    (
        "state with etags; routes; prompts with validators",
        [
            "portable::rust_remembers_and_asks",
            "portable::typescript_remembers_and_asks",
            "portable::python_sdk_remembers_and_asks",
            "portable::go_remembers_and_asks",
            "portable::c_remembers_and_asks",
        ],
    ),
    (
        "middleware",
        [
            "portable::rust_intercepts",
            "portable::typescript_intercepts",
            "portable::python_sdk_intercepts",
            "portable::go_intercepts",
            "portable::c_intercepts",
        ],
    ),
    (
        "notifications and timers",
        [
            "portable::rust_speaks_first",
            "portable::typescript_speaks_first",
            "portable::python_sdk_speaks_first",
            "portable::go_speaks_first",
            "portable::c_speaks_first",
        ],
    ),
    (
        "waterfalls, straight-line dialogs, all prompts in four human languages, groups, migrations, edits",
        [
            "parity::the_host_answers_as_the_test_host_of_the_rust_sdk_does",
            "parity::the_typescript_sdk_answers_as_the_rust_sdk_does",
            "parity::the_python_sdk_answers_as_the_rust_sdk_does",
            "parity::the_go_sdk_answers_as_the_rust_sdk_does",
            "parity::the_c_sdk_answers_as_the_rust_sdk_does",
        ],
    ),
    ("a dialog that waits survives a swap to another language", ["parity::a_dialog_goes_on_in_another_language"; 5]),
    (
        "the travel bot",
        ["travel::mod rust", "travel::mod typescript", "travel::mod python", "travel::mod go", "travel::mod c"],
    ),
    (
        "a test host without WebAssembly, true to the host",
        [
            "parity::the_host_answers_as_the_test_host_of_the_rust_sdk_does",
            "sdks::the_test_host_of_the_typescript_sdk_is_true_to_the_host",
            "sdks::the_test_host_of_the_python_sdk_is_true_to_the_host",
            "sdks::the_test_host_of_the_go_sdk_is_true_to_the_host",
            "sdks::the_test_host_of_the_c_sdk_is_true_to_the_host",
        ],
    ),
    (
        "`turntable new`, `build` and `test` in an empty folder",
        [
            "projects::a_rust_project_builds_and_holds_its_conversation",
            "projects::a_typescript_project_builds_and_holds_its_conversation",
            "projects::a_python_project_builds_and_holds_its_conversation",
            "projects::a_go_project_builds_and_holds_its_conversation",
            "projects::a_c_project_builds_and_holds_its_conversation",
        ],
    ),
    (
        "mistakes are named with file, line and remedy",
        [
            "sdk::a_plugin_that_registers_no_bot_does_not_link",
            "projects::mistakes_in_typescript_are_named",
            "projects::mistakes_in_python_are_named",
            "projects::mistakes_in_go_are_named",
            "projects::mistakes_in_c_are_named",
        ],
    ),
];

/// The table in the documentation has a row for each capability, and each spec in it exists.
#[test]
fn the_table_of_languages_is_what_the_specs_show() {
    let mut table =
        "| capability | Rust | TypeScript, JavaScript | Python | Go | C |\n| --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (capability, specs) in CAPABILITIES {
        let cells = specs.map(|spec| {
            let (file, name) = spec.split_once("::").unwrap();
            let source = std::fs::read_to_string(root().join(format!("tests/spec/{file}.rs"))).unwrap();
            assert!(
                source.contains(&format!("fn {name}()")) || source.contains(&format!("{name};")),
                "{spec} does not exist"
            );
            format!("[yes](../tests/spec/{file}.rs)")
        });
        table.push_str(&format!("| {capability} | {} |\n", cells.join(" | ")));
    }
    let path = root().join("guest-sdk/README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- table -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->\n").unwrap();
    let wanted = format!("{before}<!-- table -->\n{table}<!-- end -->\n{after}");
    if std::env::var_os("TURNTABLE_RECORD").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(page, wanted, "set TURNTABLE_RECORD=1 to record it anew");
}
