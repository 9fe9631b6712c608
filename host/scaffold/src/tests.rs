//! Every language has every template.

use super::*;

fn paths(language: Language, template: Template) -> Vec<String> {
    files("my-bot", language, template).into_iter().map(|file| file.path).collect()
}

#[test]
fn every_project_has_a_bot_a_configuration_a_test_and_its_sdk() {
    let bots = ["src/lib.rs", "src/bot.ts", "src/bot.js", "bot.py", "bot.go", "bot.c"];
    for (language, bot) in Language::ALL.into_iter().zip(bots) {
        for template in Template::ALL {
            let paths = paths(language, template);
            let name = format!("{} {}", language.name(), template.name());
            for expected in
                [bot, "turntable.toml", "README.md", ".gitignore", "turntable/wit/turn.wit", "turntable/LICENSE"]
            {
                assert!(paths.iter().any(|path| path == expected), "{name}: {expected} is missing in {paths:?}");
            }
            assert!(
                paths.iter().any(|path| path.starts_with("tests/") && path.ends_with(".chat")),
                "{name}: {paths:?}"
            );
            let mut unique = paths.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), paths.len(), "{name}: a file is there twice");
        }
    }
}

#[test]
fn no_placeholder_is_left() {
    for language in Language::ALL {
        for template in Template::ALL {
            for file in files("my-bot", language, template) {
                let text = String::from_utf8_lossy(&file.contents).into_owned();
                let is_own = !file.path.starts_with("turntable/");
                assert!(!is_own || !text.contains("{{"), "{}: {text}", file.path);
            }
        }
    }
}

#[test]
fn the_workspace_of_the_rust_sdk_has_only_its_crates() {
    let manifest = sdk(Language::Rust).find(|file| file.path == "Cargo.toml").unwrap();
    let text = String::from_utf8(manifest.contents.into_owned()).unwrap();
    assert!(text.contains("members = [\"guest-sdk/rust\", \"host/activity\", \"host/dialog\"]\n"), "{text}");
    assert!(!text.contains("default-members"), "{text}");
}

#[test]
fn names_are_those_of_packages() {
    for name in ["a", "my-bot", "bot2"] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "2bots", "My-Bot", "a b", "a/b", "..", "a-", "turntable", &"a".repeat(65)] {
        assert!(!is_name(name), "{name}");
    }
}

/// The smallest example of each manual is the bot that `turntable new` writes.
#[test]
fn the_manuals_of_go_and_c_show_the_echo_bot() {
    for (language, bot, manual) in [
        (Language::Go, "bot.go", include_str!("../../../guest-sdk/go/README.md")),
        (Language::C, "bot.c", include_str!("../../../guest-sdk/c/README.md")),
    ] {
        let bot = files("my-bot", language, Template::Echo).into_iter().find(|file| file.path == bot).unwrap();
        let text = String::from_utf8(bot.contents.into_owned()).unwrap();
        let (_, code) = text.split_once('\n').unwrap();
        assert!(manual.contains(code.trim()), "{}: the manual shows another bot than\n{code}", language.name());
    }
}
