//! Components that were built against an earlier release of the contract run on this host.
//!
//! The files in `tests/data/components/VERSION` are never built again, because they represent plugins that users have deployed.

use std::path::Path;

use crate::support::{Config, Host};

/// Starts a host with a bot of components of that release, one for each role: middleware, routes, dialogs, and a handler in C.
async fn start(release: &str) -> Option<Host> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/components").join(release);
    let marks = "grants = { middleware = true }\n\
                 settings.rules = [{ on = 'send', if = 'heard', do = 'mark', with = '!' }]";
    let config = Config::new()
        .bot("frozen", &[])
        .file("frozen", &folder.join("interceptor.wasm"), marks)
        .file("frozen", &folder.join("cancel.wasm"), "grants = { dialogs = true }")
        .file("frozen", &folder.join("settings.wasm"), "grants = { state = ['user'], dialogs = true }")
        .file("frozen", &folder.join("echo-c.wasm"), "");
    Host::start(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn components_of_0_1_0_play_every_role() {
    let Some(host) = start("0.1.0").await else { return };
    host.bot("frozen")
        .says("hi")
        .replies("C heard hi!")
        .says("settings")
        .replies("What shall I call you?")
        .says("Ann")
        .replies("Kilometres or miles? (1) kilometres or (2) miles")
        .says("miles")
        .replies("Saved: Ann, miles.")
        .says("settings")
        .replies("I call you Ann. What shall I call you?")
        .says("cancel")
        .replies("OK, I have cancelled that.")
        .replies("The settings stay as they were.")
        .says("a \"quoted\" ünï")
        .replies("C heard a \"quoted\" ünï!")
        .await;
}

/// The components of a release may have two megabytes in the repository.
#[test]
fn the_frozen_components_are_small() {
    for release in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/components")).unwrap() {
        let files = std::fs::read_dir(release.unwrap().path()).unwrap();
        let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes <= 2 << 20, "{bytes} bytes");
    }
}
