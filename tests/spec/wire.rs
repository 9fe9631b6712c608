//! What channels put into activities: around what users say, into JSON, and into its numbers.

use serde_json::json;

use crate::support::{Config, Connector, Host};

const GRANTS: &str = "grants = { state = ['conversation'], dialogs = true, conversations = true }";

/// A reaction that is given, taken back and given again has the same id and, twice, the same body.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_later_is_another_event() {
    let rule = "settings.rules = [{ on = 'receive', if = 'messageReaction', do = 'send', with = 'DATA' }]";
    let layer = format!("name = 'layer'\ngrants = {{ middleware = true }}\n{rule}");
    let config = Config::new().bot("bot", &[]).plugin("bot", "interceptor", &layer).plugin("bot", "scripted", GRANTS);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let reaction = |member: &str, at: &str| {
        let mut activity = connector.message("");
        (activity["type"], activity["id"], activity["timestamp"]) = ("messageReaction".into(), "1".into(), at.into());
        activity["conversation"]["id"] = "reactions".into();
        activity[member] = json!([{ "type": "like" }]);
        activity
    };
    let (added, removed) = ("reactionsAdded", "reactionsRemoved");
    for activity in [
        reaction(added, "2026-01-01T00:00:01Z"),
        reaction(removed, "2026-01-01T00:00:02Z"),
        reaction(added, "2026-01-01T00:00:03Z"),
        // Delivered again, the second time in another notation.
        reaction(added, "2026-01-01T00:00:03Z"),
        reaction(added, "2026-01-01T01:00:03.000+01:00"),
    ] {
        assert_eq!(host.post("bot", &activity).await.status, 200);
    }
    let mut end = connector.message("end");
    end["conversation"]["id"] = "reactions".into();
    host.post("bot", &end).await;
    let calls = connector.calls(4).await;
    let told: Vec<&str> = calls
        .iter()
        .map(|call| {
            if call.text().contains(removed) {
                "unlike"
            } else if call.text().contains(added) {
                "like"
            } else {
                call.text()
            }
        })
        .collect();
    assert_eq!(told, ["like", "unlike", "like", "heard: end"]);
}
