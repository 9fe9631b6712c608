//! Tests of the loader: whole configurations in, whole configurations or complete lists of problems out.

use std::fs;
use std::path::PathBuf;

use similar_asserts::assert_eq;
use tempfile::TempDir;

use super::*;

const REFERENCE: &str = include_str!("../../../plugins/turntable.toml");

/// A folder with the layout of the repository: the configuration in `plugins`, and the components beside it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("plugins")).unwrap();
        fs::create_dir_all(folder.path().join("target/components")).unwrap();
        for name in [
            "help",
            "welcome",
            "echo",
            "cancel",
            "settings",
            "travel",
            "redact",
            "price-watch",
            "assistant",
            "not_a_name",
        ] {
            fs::write(folder.path().join(format!("target/components/{name}.wasm")), b"\0asm").unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("plugins/turntable.toml")
    }

    fn load(&self, text: &str) -> Result<Config, Problems> {
        fs::write(self.path(), text).unwrap();
        load(&self.path())
    }

    /// Returns the problems without the path, one per line.
    fn problems(&self, text: &str) -> String {
        let problems = self.load(text).expect_err("a problem");
        let folder = format!("{}/", self.0.path().display());
        problems.to_string().replace(&folder, "").replace("plugins/turntable.toml:", "")
    }
}

/// Returns the reference configuration with every commented-out default enabled.
fn reference_with_defaults() -> String {
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|char: char| char.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    REFERENCE.lines().map(uncommented).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_is_valid_and_its_commented_defaults_are_the_defaults() {
    let folder = Folder::new();
    let terse = folder.load(REFERENCE).unwrap();
    let mut explicit = folder.load(&reference_with_defaults()).unwrap();
    for bot in explicit.bots.values_mut() {
        // These two defaults are the dialog machine's.
        if let (Some(failed), Some(reset)) = (bot.dialog_failed_text.take(), bot.dialog_reset_text.take()) {
            assert_eq!((&*failed, &*reset), (turntable_dialog::FAILED_TEXT, turntable_dialog::RESET_TEXT));
        }
    }
    assert_eq!(format!("{terse:#?}"), format!("{explicit:#?}"));
    assert!(terse.server.development);
    assert_eq!(terse.default_bot.as_deref(), Some("demo"));
    let plugins: Vec<&str> = terse.bots["demo"].plugins.iter().map(|plugin| &*plugin.name).collect();
    assert_eq!(plugins, ["help", "welcome", "echo"]);
}

/// An unknown key in each table makes the loader list the known keys. Each of them must be in the reference.
#[test]
fn the_reference_shows_every_key() {
    let with_unknown: String = reference_with_defaults()
        .lines()
        .flat_map(|line| if line.starts_with('[') { vec![line, "qqqqqqqqqqqq = 0"] } else { vec![line] })
        .map(|line| format!("{line}\n"))
        .collect();
    let problems = Folder::new().problems(&with_unknown);
    let mut listed = 0;
    for known in
        problems.lines().filter_map(|line| line.split_once("known here: ")).flat_map(|(_, keys)| keys.split(", "))
    {
        let shown = [
            format!("#{known} = "),
            format!("\n{known} = "),
            format!("\n# {known} = "),
            format!(".{known}]"),
            format!(".{known}."),
        ];
        assert!(shown.iter().any(|form| REFERENCE.contains(form)), "`{known}` is missing in the reference");
        listed += 1;
    }
    assert!(listed > 60, "the loader listed only {listed} keys:\n{problems}");
}

#[test]
fn everything_that_can_be_set_is_read() {
    let config = Folder::new()
        .load(
            r#"
            [server]
            listen = "[::1]:0"
            host-names = ["Bots.Example.org"]
            allowed-origins = ["https://example.org"]
            body-bytes-max = 2048
            acknowledge-ms = 1
            [admin]
            listen = "off"
            token-file = "secret"
            [runtime]
            data-dir = "data"
            instances-max = 10
            allocator = "on-demand"
            component-bytes-max = "1 MiB"
            [channel]
            connector-origins = ["http://localhost:*"]
            [storage]
            kind = "postgres"
            url = "env:DATABASE_URL"
            password = "file:password"
            connections = 20
            [clouds.own]
            channel-metadata = "http://127.0.0.1:9/keys"
            entra-issuers = ["https://own.example/{tenant}"]
            inner-addresses = ["127.0.0.1"]
            [bots.one]
            app-id = "00000000-0000-0000-0000-00000000000A"
            auth = { tenant = "00000000-0000-0000-0000-00000000000B", skill-callers = ["*"], cloud = "own" }
            limits = { cpu-ms = 50, memory-bytes = "32 MiB" }
            time-zone = "America/New_York"
            date-order = "month-day"
            [[bots.one.plugins]]
            component = "../target/components/not_a_name.wasm"
            name = "good-name"
            on-failure = "continue"
            limits.cpu-ms = 70
            [bots.one.plugins.settings]
            text = "ä"
            list = [1, 2.5, true, 0x10]
            at = 2026-11-20T20:00:00Z
            nested.deep = { a = 1 }
            "#,
        )
        .unwrap();
    assert_eq!(config.default_bot.as_deref(), Some("one"));
    assert_eq!(config.server.host_names, ["bots.example.org"]);
    let registration = config.bots["one"].registration.as_ref().unwrap();
    assert_eq!(&*registration.app_id, "00000000-0000-0000-0000-00000000000a");
    assert_eq!(registration.kind, AppKind::SingleTenant);
    let cloud = &registration.cloud;
    assert_eq!(
        (&*cloud.channel_metadata, &*cloud.channel_issuer),
        ("http://127.0.0.1:9/keys", "https://api.botframework.com")
    );
    assert_eq!(config.server.body_bytes_max, 2048);
    assert_eq!(config.admin.listen, None);
    assert!(config.admin.token_file.ends_with("plugins/secret"));
    assert!(config.runtime.cache_dir.ends_with("plugins/data/cache"));
    assert_eq!(config.runtime.instances_per_bot_max, 5);
    assert_eq!(config.runtime.component_bytes_max, 1 << 20);
    let zone = config.bots["one"].time_zone.as_ref().and_then(TimeZone::iana_name);
    assert_eq!((zone, config.bots["one"].date_order), (Some("America/New_York"), Some(DateOrder::MonthDay)));
    let storage = &config.storage;
    assert_eq!((storage.kind, storage.connections), (StorageKind::Postgres, 20));
    assert_eq!(storage.url, Some(Source::Environment("DATABASE_URL".to_owned())));
    assert!(matches!(&storage.password, Some(Source::File(path)) if path.ends_with("plugins/password")));
    let plugin = &config.bots["one"].plugins[0];
    assert_eq!(plugin.limits.cpu, Duration::from_millis(70));
    assert_eq!(plugin.limits.memory_bytes, 32 << 20);
    assert_eq!(plugin.on_failure, OnFailure::Continue);
    assert_eq!(
        serde_json::to_value(&plugin.settings).unwrap(),
        serde_json::json!({
            "at": "2026-11-20T20:00:00Z", "list": [1, 2.5, true, 16], "nested": {"deep": {"a": 1}}, "text": "ä"
        })
    );
}

#[test]
fn replies_may_go_to_any_port_of_this_machine_in_development_only() {
    let bot = "[[bots.a.plugins]]\ncomponent = '../target/components/echo.wasm'\n";
    let origins = |head: &str| Folder::new().load(&format!("{head}{bot}")).unwrap().channel.connector_origins;
    assert_eq!(origins(""), ["http://localhost:56150"]);
    assert_eq!(origins("[server]\nmode = 'development'\n"), ["http://localhost:*"]);
    let chosen = "[server]\nmode = 'development'\n[channel]\nconnector-origins = ['http://localhost:1']\n";
    assert_eq!(origins(chosen), ["http://localhost:1"], "what the operator says holds");
}

#[test]
fn a_connection_outlives_the_idle_time_of_load_balancers() {
    let bot = "[[bots.a.plugins]]\ncomponent = '../target/components/echo.wasm'\n";
    let keep_alive = |head: &str| Folder::new().load(&format!("{head}{bot}")).unwrap().server.keep_alive;
    assert_eq!(keep_alive(""), Duration::from_secs(75));
    assert_eq!(keep_alive("[server]\nkeep-alive-ms = 120000\n"), Duration::from_secs(120));
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let problems = Folder::new().problems(include_str!("../../../tests/data/config/wrong.toml"));
    assert_eq!(problems, include_str!("../../../tests/data/config/wrong.problems").trim_end());
}

#[test]
fn all_syntax_errors_are_reported_and_only_these() {
    let problems = Folder::new().problems("[server]\nlisten = \n[runtime\n[bots.x]\nnonsense = 1\ntitle = 'open\n");
    for line in ["2:", "3:", "6:"] {
        assert!(problems.lines().any(|problem| problem.starts_with(line)), "line {line} in:\n{problems}");
    }
    assert!(problems.lines().all(|problem| problem.contains("syntax: ")), "{problems}");
}

/// Small configurations with one problem each.
#[test]
fn single_problems() {
    let bot = "[[bots.a.plugins]]\ncomponent = '../target/components/echo.wasm'\n";
    let cases = [
        ("", "1:1: the configuration has no bots: add a table [bots.NAME] with at least one [[bots.NAME.plugins]]"),
        (
            "[server]\nlisten = '0.0.0.0:80'\n",
            "3:8: bot \"a\" has no `app-id` and the host listens on 0.0.0.0:80: anyone who reaches it could speak as any \
             user. Listen on loopback, or set `server.allow-anonymous-remote = true` to allow this",
        ),
        (
            "[server]\nlisten = 'localhost:80'\n",
            "2:10: `server.listen`: write \"127.0.0.1:80\" instead of \"localhost:80\"",
        ),
        (
            "[admin]\nlisten = '127.0.0.1:3978'\n",
            "2:10: `server.listen` (127.0.0.1:3978) and `admin.listen` (127.0.0.1:3978) are the same address; change one of the ports",
        ),
        (
            "[bots.b]\nplugins = [{ component = '../target/components/echo.wasm' }]\ntime-zone = 'Berlin'\n",
            "3:13: `bots.b.time-zone` must be a zone of the IANA time zone database such as Europe/Berlin, not \"Berlin\"",
        ),
        ("[server]\ndefault-bot = 'b'\n", "2:15: `server.default-bot` is \"b\", but no such bot is configured"),
        (
            "[runtime]\ninstances-max = 3\ninstances-per-bot-max = 4\n",
            "3:25: `runtime.instances-per-bot-max` (4) is above `runtime.instances-max` (3), so it can never be reached",
        ),
        (
            "[bots.b]\nplugins = [{ component = '../target/components/echo.wasm', grants = { middleware = true } }]\n[runtime]\ninstances-max = 1\n",
            "1:7: bot \"b\" has 1 plugins, 1 of them middleware, but `runtime.instances-per-bot-max` is 1: a turn needs \
             one instance of each plugin at once, and a second one of each middleware plugin",
        ),
        (
            "[bots.b]\nauth = { skill-callers = ['*'] }\nplugins = [{ component = '../target/components/echo.wasm' }]\n",
            "2:8: `bots.b.auth` has no effect without `app-id`; add the app id of the bot",
        ),
        (
            "[bots.b]\napp-id = '00000000-0000-0000-0000-000000000001'\nplugins = [{ component = '../target/components/echo.wasm' }]\n\
             [bots.b.auth]\ncloud = 'publik'\ntype = 'managed'\nskill-callers = ['me']\nservice-origins = ['http://a.example']\nalgorithms = ['HS256']\n",
            "5:9: `bots.b.auth.cloud`: there is no cloud \"publik\"; did you mean \"public\"?\n\
             6:8: `bots.b.auth.tenant` is missing; give the id of the tenant of the app\n\
             7:18: `bots.b.auth.skill-callers`: \"me\" is not an id such as \"12345678-90ab-cdef-1234-567890abcdef\"\n\
             8:20: `bots.b.auth.service-origins`: \"http://a.example\" must be an https URL; http is for servers on loopback\n\
             9:15: `bots.b.auth.algorithms`: \"HS256\" is not supported; the algorithms are RS256, RS384 and RS512",
        ),
        (
            "[clouds.public]\nchannel-metadata = 'keys'\nentra-issuers = ['https://sts.example/']\ninner-addresses = ['localhost']\n",
            "2:20: `clouds.public.channel-metadata`: \"keys\" is not a URL such as \"https://login.example.org\"\n\
             3:18: `clouds.public.entra-issuers`: \"https://sts.example/\" must contain `{tenant}` once, in place of the id of the tenant\n\
             4:20: `clouds.public.inner-addresses`: \"localhost\" is not an IP address, such as \"10.0.0.7\"",
        ),
        (
            "[storage]\nkind = 'postgres'\npath = 'file'\n",
            "2:8: `storage.kind = \"postgres\"` needs `storage.url`: \"env:NAME\" or \"file:PATH\" of a connection string\n\
             3:8: `storage.path` has no effect with `storage.kind = \"postgres\"`",
        ),
        (
            "[storage]\nkind = 'postgres'\nurl = 'postgresql://s3cret@host/db'\n",
            "3:7: `storage.url` must say where the secret is: \"env:NAME\", \"file:PATH\" or \"command:PROGRAM\"",
        ),
        (
            "[storage]\nurl = 'env:URL'\nconnections = 1\n",
            "2:7: `storage.url` has no effect without `storage.kind = \"postgres\"`\n\
             3:15: `storage.connections` must be between 2 and 1000\n\
             3:15: `storage.connections` has no effect without `storage.kind = \"postgres\"`",
        ),
        (
            "[channel.rates.test]\nconversation = ['1/s', 'often']\nbot = 7\n",
            "2:17: `channel.rates.test.conversation`: \"1/s\" is not a rate; write a number of sends and a window, such as \"60/30s\" or \"1800/1h\"\n\
             2:24: `channel.rates.test.conversation`: \"often\" is not a rate; write a number of sends and a window, such as \"60/30s\" or \"1800/1h\"\n\
             3:7: `channel.rates.test.bot` must be an array of strings, not a whole number",
        ),
        (
            "[bots.b]\nplugins = [{ bridge = 'http://old.example/api/messages', bridge-settle = 1 }, { bridge = 'ftp://127.0.0.1/' }]\n",
            "2:23: `bots.b.plugins[0].bridge` has plain `http` to another machine; use `https`, or an address of loopback\n\
             2:58: unknown key `bots.b.plugins[0].bridge-settle`; did you mean `bridge-settle-ms`?\n\
             2:90: `bots.b.plugins[1].bridge` is not an `http` or `https` URL",
        ),
        (
            "[bots.b]\nplugins = [{ bridge = 'https://old.example/api/messages', component = 'a.wasm' }]\n",
            "2:23: `bots.b.plugins[0].bridge-callback` is missing; the other bot is on another machine, so it needs a URL of the \
             public listener\n2:71: `bots.b.plugins[0].component` and `bridge` exclude each other; make them two entries",
        ),
        (
            "[bots.b]\nplugins = [{ bridge = 'http://127.0.0.1:1/' }, { component = '../target/components/echo.wasm' }]\n",
            "2:48: `bots.b.plugins[1]` comes after the entry with `bridge`, which must be the last and the only one",
        ),
    ];
    for (wrong, problem) in cases {
        let text = if wrong.is_empty() { String::new() } else { format!("{wrong}{bot}") };
        assert_eq!(Folder::new().problems(&text), problem);
    }
}

#[test]
fn files_that_cannot_be_read_are_problems_of_the_file() {
    let folder = Folder::new();
    let missing = load(&folder.path()).unwrap_err().to_string();
    assert!(
        missing.ends_with("turntable.toml: the configuration cannot be read: No such file or directory (os error 2)")
    );
    let no_file = load(folder.0.path()).unwrap_err().to_string();
    assert!(no_file.ends_with("the configuration is not a regular file"), "{no_file}");
    fs::write(folder.path(), b"a = \"\xff\"").unwrap();
    assert!(load(&folder.path()).unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn a_burst_and_its_refill_stay_within_what_teams_documents() {
    let limits = &Channel::default().rates["msteams"];
    let at_most = |rates: &[Rate], seconds: f64| {
        let lets = |rate: &Rate| f64::from(rate.sends.get()) * (1.0 + seconds / rate.per.as_secs_f64());
        rates.iter().map(lets).fold(f64::INFINITY, f64::min)
    };
    for (seconds, sends) in [(1.0, 7.0), (2.0, 8.0), (30.0, 60.0), (3_600.0, 1_800.0)] {
        assert!(at_most(&limits.conversation, seconds) <= sends, "{seconds} s");
    }
    assert!(at_most(&limits.bot, 1.0) <= 50.0);
}
