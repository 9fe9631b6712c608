//! The files of a project.

use std::borrow::Cow;

use crate::{FILES, Language, Template, sdk};

/// One file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path relative to the folder of the project, with `/` between names.
    pub path: String,
    /// The contents.
    pub contents: Cow<'static, [u8]>,
}

/// The folder of a project that holds the contract and the SDK.
const SDK_FOLDER: &str = "turntable";

/// The rule that [`is_name`] checks, in words.
pub const NAME_RULE: &str = "a name has 1 to 64 lower-case letters, digits and hyphens, and begins with a letter";

/// Returns whether a text can be the name of a project. It is also the name of the bot, its package and its folder.
pub fn is_name(name: &str) -> bool {
    let is_part = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    name.len() <= 64
        && name.starts_with(|char: char| char.is_ascii_lowercase())
        && name.chars().all(is_part)
        && !name.ends_with('-')
        && name != SDK_FOLDER
}

/// Returns the files of a new project, with its SDK. The name must satisfy [`is_name`].
pub fn files(name: &str, language: Language, template: Template) -> Vec<File> {
    let folders = [
        "host/scaffold/templates/common/".to_owned(),
        format!("host/scaffold/templates/chats/{}/", template.name()),
        format!("host/scaffold/templates/{}/common/", language.name()),
        format!("host/scaffold/templates/{}/{}/", language.name(), template.name()),
    ];
    let own = folders.iter().flat_map(|folder| {
        FILES.iter().filter_map(move |(path, contents)| Some((path.strip_prefix(folder.as_str())?, *contents)))
    });
    let own = own.map(|(path, contents)| {
        let text = String::from_utf8_lossy(contents).replace("{{name}}", name);
        let text = text.replace("{{grants}}", grants(template)).replace("{{language}}", language.name());
        // A name that begins with a dot would act in this repository.
        File { path: path.replace("dot-", "."), contents: text.into_bytes().into() }
    });
    let sdk = sdk(language).map(|file| File { path: format!("{SDK_FOLDER}/{}", file.path), ..file });
    own.chain(sdk).collect()
}

/// Returns the grants that the bot of a template needs, as `turntable.toml` has them.
fn grants(template: Template) -> &'static str {
    match template {
        Template::Echo => {
            "# grants = { state = [\"user\"], dialogs = true } # What the bot may use, if its manifest asks for it."
        }
        Template::Dialog => "grants = { state = [\"user\"], dialogs = true }",
        Template::Middleware => "grants = { middleware = true }",
    }
}
