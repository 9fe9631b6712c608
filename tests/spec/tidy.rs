//! Rules of the repository that the compiler does not check: which module uses which library, and the promises of the contract.

use std::path::{Path, PathBuf};

use wit_parser::{Resolve, Stability};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns all Rust sources below a folder, with their paths relative to it.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Returns the source without unit tests and comments, because the rules are for code that ships.
fn shipped(source: &str) -> String {
    let mut lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut code = String::new();
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        // rustfmt puts the end of an item with a block at the start of a line.
        let item = lines.by_ref().find(|line| !line.starts_with("#[")).unwrap_or_default();
        if item.ends_with('{') {
            lines.by_ref().find(|line| *line == "}");
        }
    }
    code
}

#[test]
fn only_unit_tests_are_left_out() {
    let tests = "#[cfg(test)]\nmod tests;\nfn b() {}\n#[cfg(test)]\n#[path = \"t.rs\"]\nmod t {\n    use c;\n}\n";
    assert_eq!(shipped(&format!("use a;\n{tests}fn d() {{}}\n// e\n")), "use a;\nfn b() {}\nfn d() {}\n");
}

/// The modules of the host, from the outermost inwards. Crates need no rule: a wrong arrow between them does not compile.
const LAYERS: &[&str] = &[
    "cli",
    "serve",
    "http",
    "app",
    "turn",
    "delivery",
    "registry",
    "channel",
    "transcript",
    "budget",
    "telemetry",
    "colours",
    "clock",
];

#[test]
fn modules_import_inwards_only() {
    let layer_of = |module: &str| LAYERS.iter().position(|layer| *layer == module);
    let mut broken = Vec::new();
    for (path, source) in sources(&root().join("host/src")) {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let own = layer_of(module).unwrap_or_else(|| panic!("`{module}` has no place in LAYERS"));
        let code = shipped(&source);
        let names = code.split("crate::").skip(1);
        let imported = names.filter_map(|rest| layer_of(rest.split(|char: char| !char.is_alphanumeric()).next()?));
        broken.extend(
            imported
                .filter(|layer| *layer < own)
                .map(|layer| format!("host/src/{path} imports {}, which is further out", LAYERS[layer])),
        );
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn libraries_stay_in_their_modules() {
    let rules: &[(&str, &[&str])] = &[
        ("axum", &["http.rs", "http/"]),
        ("reqwest", &["channel/", "cli/"]),
        ("notify", &["registry/watch.rs"]),
        ("clap", &["cli.rs", "cli/"]),
    ];
    let mut broken = Vec::new();
    for (path, source) in sources(&root().join("host/src")) {
        let code = shipped(&source);
        for (library, allowed) in rules {
            let named = code.contains(&format!("{library}::")) || code.contains(&format!("use {library};"));
            if named && !allowed.iter().any(|prefix| path.starts_with(prefix)) {
                broken.push(format!("host/src/{path} names {library}; only {} may", allowed.join(", ")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What dialogs do follows from what the machine is given, so that hosts and test hosts of every language agree.
#[test]
fn the_dialog_machine_does_no_io_and_reads_no_clock() {
    let forbidden =
        ["std::fs", "std::net", "std::time", "std::env", "std::thread", "now()", "async ", "rand::", "ulid::"];
    let sources = sources(&root().join("host/dialog/src"));
    for (path, source) in sources.iter().filter(|(path, _)| !path.contains("tests")) {
        let code = shipped(source);
        for name in forbidden.iter().filter(|name| code.contains(*name)) {
            // The scene gives the time.
            assert!(*name == "now()" && path == "machine/prompts.rs", "host/dialog/src/{path} names `{name}`");
        }
    }
}

#[test]
fn every_item_of_the_contract_is_documented_and_gated() {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    resolve.push_dir(root().join("wit")).unwrap();
    let mut problems = Vec::new();
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.clone().unwrap_or_default();
        let mut check = |item: &str, docs: &wit_parser::Docs, stability: &Stability| {
            if docs.contents.as_deref().unwrap_or_default().is_empty() {
                problems.push(format!("{item} has no doc comment"));
            }
            if matches!(stability, Stability::Unknown) {
                problems.push(format!("{item} has neither @since nor @unstable"));
            }
        };
        check(&name, &interface.docs, &interface.stability);
        for function in interface.functions.values() {
            check(&format!("{name}.{}", function.name), &function.docs, &function.stability);
        }
        for id in interface.types.values() {
            let item = &resolve.types[*id];
            // `use types.{fault}` creates an alias that needs no doc comment.
            if !matches!(item.kind, wit_parser::TypeDefKind::Type(_)) {
                check(&format!("{name}.{}", item.name.clone().unwrap_or_default()), &item.docs, &item.stability);
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The stable part of the contract, printed without comments, equals the golden copy. A difference that only adds an
/// imported function or interface gets a new golden file. Anything else breaks plugins that are in use (`wit/README.md`).
#[test]
fn the_stable_contract_is_the_golden_one() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit")).unwrap();
    let mut printer = wit_component::WitPrinter::default();
    printer.emit_docs(false);
    printer.print(&resolve, package, &[]).unwrap();
    let printed = printer.output.to_string();
    let golden = root().join("tests/data/contract-0.1.0.wit");
    if std::env::var_os("TURNTABLE_WRITE_GOLDEN").is_some() {
        std::fs::write(&golden, &printed).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert!(
        printed == expected,
        "the contract differs from tests/data/contract-0.1.0.wit; read the rules in wit/types.wit, then run the test \
         with TURNTABLE_WRITE_GOLDEN=1\n--- printed ---\n{printed}"
    );
}

#[test]
fn the_tree_holds_what_it_should() {
    let wanted = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "guest-sdk",
        "host",
        "plugins",
        "tests",
        "wit",
    ];
    // Folders that git ignores are not part of the tree.
    let ignored = ["target", "node_modules"];
    let mut found: Vec<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !ignored.contains(&name.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, wanted);
}
