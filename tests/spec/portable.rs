//! The portable handler in every guest language holds the same conversation.

use serde_json::{Value, json};

use crate::support::{Config, Connector, Host, component, expecting_replies, message};

async fn start(language: &str) -> Option<Host> {
    let name = format!("portable-{language}");
    let more = "settings.greeting = 'Hello'\nlimits.cpu-ms = 2000\n\
                grants = { state = ['conversation', 'user'], dialogs = true }";
    Host::start(Config::new().bot("portable", &[]).plugin("portable", &name, more)).await
}

async fn holds_the_conversation(language: &str) {
    let Some(host) = start(language).await else { return };
    let mut with_name = message("hi");
    with_name["from"] = json!({"id": "user", "name": "Ann"});
    let mut in_german = message("meta");
    in_german["locale"] = "de-AT".into();
    let card = |activity: &Value| {
        let attachment = &activity["attachments"][0];
        activity["text"] == "A card"
            && attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
            && attachment["content"]["version"] == "1.4"
            && attachment["content"]["body"][0]["text"] == "Hello"
    };
    host.bot("portable")
        .says("hi")
        .replies("Hello, user: hi")
        .sends(with_name)
        .replies("Hello, Ann: hi")
        .says("ünïcode 🎉 \"quoted\" \\")
        .replies("Hello, user: ünïcode 🎉 \"quoted\" \\")
        .says("config")
        .replies("greeting=Hello missing=none keys=greeting")
        .says("card")
        .replies_with("an adaptive card", card)
        .says("log")
        .replies("logged")
        .says("twice")
        .replies("one")
        .replies("two")
        .replies("tt-,tt-")
        .says("next")
        .says("fault")
        .replies("Sorry, something went wrong on my side. Please try again.")
        .sends(json!({"type": "typing", "channelId": "test", "from": {"id": "user"}, "conversation": {}}))
        .sends(in_german)
        .replies_with("what the host said of the turn", |activity| {
            activity["text"].as_str().is_some_and(|text| text.starts_with("message activity test de-AT dialogue"))
        })
        .await;
    host.logged("portable log").await;
    let fault = host.admin("GET", "/v1/bots/portable/turns", Vec::new()).await;
    assert!(fault.text.contains("fault invalid: asked to fail"), "{}", fault.text);
}

/// State lasts from turn to turn, and a dialog with a prompt works.
async fn remembers_and_asks(language: &str) {
    let Some(host) = start(language).await else { return };
    host.bot("portable")
        .says("recall")
        .replies("note none")
        .says("note ünï \"quoted\"")
        .replies("noted")
        .says("recall")
        .replies("note ünï \"quoted\"")
        .says("forget")
        .replies("forgotten")
        .says("recall")
        .replies("note none")
        .says("count")
        .replies("1")
        .says("count")
        .replies("2")
        .says("ask")
        .replies("How old are you?")
        .says("old")
        .replies("A number, please.")
        .says("seventeen")
        .replies("At least 18, please (2).")
        .says("18")
        .replies("You are 18.")
        .says("ask")
        .replies("How old are you?")
        .says("stop")
        .replies("stopped 1 age:prompt:number")
        .replies("cancelled: cancel-all")
        .says("ask")
        .replies("How old are you?")
        .says("a")
        .replies("A number, please.")
        .says("b")
        .replies("A number, please.")
        .says("c")
        .replies("Never mind.")
        .says("stop")
        .replies("stopped 0")
        .await;
}

/// The middleware stops and replaces incoming and outgoing activities.
async fn intercepts(language: &str) {
    let more = "settings.greeting = 'Hello'\nlimits.cpu-ms = 2000\ngrants = { middleware = true }";
    let config = Config::new().bot("portable", &[]).plugin("portable", &format!("portable-{language}"), more);
    let Some(host) = Host::start(config).await else { return };
    host.bot("portable")
        .says("hi")
        .replies("Hello, user: hi")
        .says("secret")
        .says("swap")
        .replies("Hello, user: swapped")
        .says("hush")
        .says("loud ünï")
        .replies("HELLO, USER: LOUD ÜNÏ!")
        .await;
}

/// The handler sends an event to its own conversation, and cancels a timer.
async fn speaks_first(language: &str) {
    let more = "settings.greeting = 'Hello'\nlimits.cpu-ms = 2000\ngrants = { conversations = true, dialogs = true }";
    let config = Config::new().bot("portable", &[]).plugin("portable", &format!("portable-{language}"), more);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    assert_eq!(host.post("portable", &connector.message("later")).await.status, 200);
    let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["cancelled true", "notify now"]);
    let waiting = host.admin("GET", "/v1/bots/portable/notifications", Vec::new()).await.json();
    assert_eq!(waiting, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn go_speaks_first() {
    speaks_first("go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go_intercepts() {
    intercepts("go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go_remembers_and_asks() {
    remembers_and_asks("go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go() {
    holds_the_conversation("go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_speaks_first() {
    speaks_first("c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_intercepts() {
    intercepts("c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_remembers_and_asks() {
    remembers_and_asks("c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c() {
    holds_the_conversation("c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sdk_speaks_first() {
    speaks_first("python-sdk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_speaks_first() {
    speaks_first("typescript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_speaks_first() {
    speaks_first("rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_speaks_first() {
    speaks_first("js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_speaks_first() {
    speaks_first("python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sdk_intercepts() {
    intercepts("python-sdk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_intercepts() {
    intercepts("typescript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_intercepts() {
    intercepts("rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_intercepts() {
    intercepts("js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_intercepts() {
    intercepts("python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sdk_remembers_and_asks() {
    remembers_and_asks("python-sdk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_remembers_and_asks() {
    remembers_and_asks("typescript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_remembers_and_asks() {
    remembers_and_asks("rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_remembers_and_asks() {
    remembers_and_asks("js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_remembers_and_asks() {
    remembers_and_asks("python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sdk() {
    holds_the_conversation("python-sdk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript() {
    holds_the_conversation("typescript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust() {
    holds_the_conversation("rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript() {
    holds_the_conversation("js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    holds_the_conversation("python").await;
}

/// QuickJS snapshots its random generator when the component is built, so the guest reseeds it from the seed in the meta.
#[tokio::test(flavor = "multi_thread")]
async fn javascript_gets_fresh_random_numbers() {
    for language in ["js", "typescript"] {
        let Some(host) = start(language).await else { return };
        let mut numbers = Vec::new();
        for _ in 0..3 {
            numbers
                .push(host.post("portable", &expecting_replies(message("random"))).await.replies()[0]["text"].clone());
        }
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2], "{language}: {numbers:?}");
    }
}

/// The drafts of the contract compile in every language. A host of this release does not link them, and the error names them.
#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_refused_by_name() {
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    for language in ["rust", "js", "python"] {
        let Some(path) = component(&format!("surface-{language}")) else { continue };
        let answer = host.deploy("echo", "echo", std::fs::read(path).unwrap()).await;
        assert_eq!(answer.status, 422, "{language}: {}", answer.text);
        for interface in ["calls", "users"] {
            let problem = format!("turntable:bot/{interface}@0.1.0`, a draft");
            assert!(answer.text.contains(&problem), "{language}: {interface} is missing in {}", answer.text);
        }
    }
    host.bot("echo").says("still here").replies("Echo: still here").await;
}
