//! Reloads: changes of the configuration, components and folders while the host runs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Answer, Config, Host, compile_bomb, component, message, turntable, within};

/// A host with two bots, a component for each, and no file watch.
async fn unwatched() -> Option<Host> {
    let config = Config::new().set("runtime.watch", "false").bot("echo", &["echo"]).bot("bot", &["hostile"]);
    Host::start(config).await
}

async fn reload(host: &Host, bot: &str) -> Answer {
    host.admin("POST", &format!("/v1/bots/{bot}/reload"), Vec::new()).await
}

fn replace(file: &Path, built: &str) {
    let temporary = file.with_extension("new");
    fs::copy(component(built).unwrap(), &temporary).unwrap();
    fs::rename(temporary, file).unwrap();
}

async fn until_generation(host: &Host, bot: &str, generation: u64) -> Value {
    let wait = async {
        loop {
            let status = host.status(bot).await;
            if status["generation"] == generation {
                return status;
            }
        }
    };
    within("a generation", wait).await
}

/// An error in one bot does not affect other bots and the operator's commands.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_reloaded_whatever_is_wrong_with_another() {
    let Some(host) = unwatched().await else { return };
    fs::remove_file(host.component("hostile")).unwrap();
    host.edit("[bots.bot]", "[bots.bot]\nanswer = 42");
    replace(&host.component("echo"), "help");
    host.edit("'components/echo.wasm'", "'components/echo.wasm'\nsettings.text = 'Help!'");
    let swap = reload(&host, "echo").await;
    assert_eq!((swap.status, &swap.json()["to"]), (200, &json!(2)), "{}", swap.text);
    host.bot("echo").says("help").replies("Help!").await;

    let failed = reload(&host, "bot").await;
    assert!(failed.status == 422 && failed.text.contains("unknown key `bots.bot.answer`"), "{}", failed.text);
    host.bot("bot").says("hi").replies("ok: hi").await;
    host.edit("\nanswer = 42", "");
    let failed = reload(&host, "bot").await;
    assert!(failed.text.contains("hostile.wasm: No such file"), "{}", failed.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_looked_after_whatever_is_wrong_with_its_bots() {
    let Some(host) = unwatched().await else { return };
    fs::remove_file(host.component("echo")).unwrap();
    host.edit("[bots.bot]", "[bots.bot]\nanswer = 42");
    let (config, url) = (host.config(), host.admin_url());
    let shown = turntable(&["bots", "--config", config.to_str().unwrap(), "--admin-url", &url], "");
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{}", shown.stdout);
    host.edit("admin.listen = ", "admin.listn = ");
    let refused = turntable(&["bots", "--config", config.to_str().unwrap(), "--admin-url", &url], "");
    assert!(refused.code == Some(1) && refused.stderr.contains("admin.listn"), "{}", refused.stderr);
}

/// After `serve --listen` the address in the file does not count.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_line_set_holds_at_a_reload() {
    let config = Config::new().set("server.listen", "'0.0.0.0:0'").options(&["--listen", "127.0.0.1:0"]);
    let Some(host) = Host::start(config.bot("echo", &["echo"])).await else { return };
    let swap = reload(&host, "echo").await;
    assert_eq!(swap.status, 200, "{}", swap.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_bot_is_enabled_is_read_again() {
    let Some(host) = unwatched().await else { return };
    host.edit("[bots.echo]", "[bots.echo]\nenabled = false");
    assert_eq!(reload(&host, "echo").await.status, 200);
    assert_eq!(host.status("echo").await["enabled"], false);
    assert_eq!(host.post("echo", &message("hi")).await.status, 503);
    host.edit("enabled = false", "enabled = true");
    assert_eq!(reload(&host, "echo").await.status, 200);
    host.bot("echo").says("hi").replies("Echo: hi").await;

    // A bot that an operator disabled stays disabled until the file changes.
    host.admin("POST", "/v1/bots/echo/disable", Vec::new()).await;
    host.edit("enabled = true", "title = 'Echo'\nenabled = true");
    assert_eq!(reload(&host, "echo").await.status, 200);
    assert_eq!(host.status("echo").await["enabled"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bot_is_said_to_wait_for_a_restart() {
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    host.edit("[bots.echo]", "[[bots.late.plugins]]\ncomponent = 'components/echo.wasm'\n[bots.echo]");
    let line = host.logged("the configuration has a new bot").await;
    assert!(line.contains("\"late\"") && line.contains("restart"), "{line}");
}

/// A plugin that is configured before its component and its folder exist.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_not_built_yet_serves_when_it_is() {
    let Some(host) = Host::start(Config::new().bot("bot", &["echo"])).await else { return };
    let folder = host.config().parent().unwrap().join("mine");
    host.edit("[[bots.bot.plugins]]", "[[bots.bot.plugins]]\ncomponent = 'mine/new.wasm'\n[[bots.bot.plugins]]");
    host.logged("new.wasm: No such file").await;
    host.bot("bot").says("hi").replies("Echo: hi").await;

    fs::create_dir(&folder).unwrap();
    replace(&folder.join("new.wasm"), "hostile");
    until_generation(&host, "bot", 2).await;
    host.bot("bot").says("hi").replies("ok: hi").await;
    replace(&folder.join("new.wasm"), "echo");
    until_generation(&host, "bot", 3).await;
    host.bot("bot").says("hi").replies("Echo: hi").await;
}

/// A component that compiles for a long time does not delay other bots.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_takes_long_to_load_holds_up_no_other() {
    let config = Config::new().bot("bomb", &["echo"]).bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let (bomb, folder) = (compile_bomb(&host.component("echo")), host.component("echo"));
    fs::write(folder.with_extension("new"), bomb).unwrap();
    fs::rename(folder.with_extension("new"), &folder).unwrap();
    replace(&host.component("hostile"), "echo");
    let status = within("the other bot to be reloaded", async {
        loop {
            let (other, bomb) = (host.status("bot").await, host.status("bomb").await);
            assert_eq!(bomb["last_failure"], Value::Null, "the bomb was not first");
            if other["generation"] == 2 {
                return bomb;
            }
        }
    });
    assert_eq!(status.await["generation"], 1);
    host.bot("bot").says("hi").replies("Echo: hi").await;
    host.bot("bomb").says("hi").replies("Echo: hi").await;
    // A regular stop also ends the compiler.
    assert!(host.stop().await.0.success());
}

/// `make clean && make plugins`, and deployments that change a link to the folder of a release.
#[tokio::test(flavor = "multi_thread")]
async fn folders_and_links_may_be_replaced() {
    let Some(host) = Host::start(Config::new().bot("bot", &["echo"])).await else { return };
    let folder = host.component("echo").parent().unwrap().to_owned();
    fs::remove_dir_all(&folder).unwrap();
    host.logged("echo.wasm: No such file").await;
    host.bot("bot").says("hi").replies("Echo: hi").await;
    fs::create_dir(&folder).unwrap();
    replace(&host.component("echo"), "hostile");
    until_generation(&host, "bot", 2).await;

    let release = folder.with_file_name("release");
    fs::create_dir(&release).unwrap();
    fs::copy(component("echo").unwrap(), release.join("echo.wasm")).unwrap();
    let link = folder.with_file_name("link");
    std::os::unix::fs::symlink(&release, &link).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&link, &folder).unwrap();
    let status = until_generation(&host, "bot", 3).await;
    assert_eq!(status["last_failure"], Value::Null, "{status:#}");
    host.bot("bot").says("hi").replies("Echo: hi").await;
}

/// A rollback to a component whose file has changed lasts until the file changes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_outlives_reload_and_restart() {
    let Some(mut host) = unwatched().await else { return };
    replace(&host.component("echo"), "hostile");
    assert_eq!(reload(&host, "echo").await.json()["to"], 2);
    host.bot("echo").says("hi").replies("ok: hi").await;
    host.roll_back("echo").await;
    host.bot("echo").says("hi").replies("Echo: hi").await;

    host.edit("[bots.echo]", "[bots.echo]\ntitle = 'Other'");
    assert_eq!(reload(&host, "echo").await.status, 200);
    host.bot("echo").says("hi").replies("Echo: hi").await;
    assert!(host.ends().await.success());
    host.again(None).await;
    host.bot("echo").says("hi").replies("Echo: hi").await;

    replace(&host.component("echo"), "scripted");
    let swap = reload(&host, "echo").await;
    assert_eq!(swap.json()["to"], 2, "{}", swap.text);
    assert_eq!(host.status("echo").await["plugins"][0]["describes"], "scripted 0.1.0");
}

/// However often components change, the data folder keeps only those that serve or that a rollback would restore.
#[tokio::test(flavor = "multi_thread")]
async fn components_that_nothing_serves_are_not_kept() {
    let Some(host) = unwatched().await else { return };
    let kept = || {
        let files = fs::read_dir(host.data().join("components")).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "wasm")).count()
    };
    for built in ["help", "welcome", "scripted", "cancel", "hostile", "welcome"] {
        let deployed = host.deploy("echo", "echo", fs::read(component(built).unwrap()).unwrap()).await;
        // `help` lacks a required setting, and a load that fails stores nothing.
        assert_eq!(deployed.status, if built == "help" { 422 } else { 200 }, "{built}: {}", deployed.text);
        assert!(kept() <= 3, "after {built}: {}", kept());
    }
    host.roll_back("echo").await;
    host.bot("echo").says("hi").replies("ok: hi").await;
    assert_eq!(kept(), 2, "what serves in both, and what a rollback would bring back");
}
