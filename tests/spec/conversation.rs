//! The example bots hold the conversations that their READMEs describe.

use crate::support::{Config, Connector, Host};

#[tokio::test(flavor = "multi_thread")]
async fn echo_repeats_what_it_hears() {
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    host.bot("echo").says("hi").replies("Echo: hi").says("ünïcode 🎉").replies("Echo: ünïcode 🎉").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help_answers_in_any_bot_and_leaves_the_rest() {
    let config = Config::new()
        .bot("demo", &[])
        .plugin("demo", "help", "settings.text = 'I repeat things.'")
        .plugin("demo", "echo", "");
    let Some(host) = Host::start(config).await else { return };
    let demo = host.bot("demo").says("help").replies("I repeat things.");
    demo.says("HILFE").replies("I repeat things.").says("help me").replies("Echo: help me").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_reach_the_connector_in_order_as_answers_to_the_activity() {
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    let connector = Connector::start().await;
    let mut activity = connector.message("0");
    activity["conversation"]["id"] = "a|b/c;d".into();
    for number in 0..5 {
        (activity["text"], activity["id"]) = (number.to_string().into(), format!("in-{number}").into());
        let answer = host.post("echo", &activity).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{answer:?}");
    }
    let calls = connector.calls(5).await;
    for (number, call) in calls.iter().enumerate() {
        assert_eq!((call.method.as_str(), call.text()), ("POST", &*format!("Echo: {number}")));
        assert_eq!(call.path, format!("/v3/conversations/a%7Cb%2Fc%3Bd/activities/in-{number}"));
        assert_eq!(call.body["replyToId"], format!("in-{number}"));
        assert_eq!(call.body["from"]["id"], "bot");
        assert_eq!(call.body["recipient"]["id"], "user");
    }
    let (status, log) = host.stop().await;
    assert!(status.success(), "{status}: {log:#?}");
    assert!(log.iter().any(|line| line.contains("every accepted turn has ended")), "{log:#?}");
}
