//! What leaves a turn passes the layers outwards before it is staged.

use std::sync::Arc;

use serde_json::{Value, json};
use ulid::Ulid;

use super::{Passage, Unsent, internal};
use crate::activity::Object;
use crate::config::Limits;
use crate::json;
use crate::plugin::{Event, Failure, Fault};
use crate::storage::Answer;
use crate::turn::effects::Effects;
use crate::turn::middleware::{Outgoing, Verdict};
use crate::turn::outgoing::{checked_response, is_the_hosts};

impl Effects {
    /// Stages an activity after so many of the outermost layers let it pass. `threaded` makes it a reply to the incoming
    /// activity. Returns its host id; an empty one where it goes nowhere.
    pub(in crate::turn) async fn send(
        self: &Arc<Self>,
        layers: usize,
        sender: &str,
        activity: Object,
        threaded: bool,
    ) -> Result<Arc<str>, Unsent> {
        self.send_as(format!("tt-{}", Ulid::new()).into(), layers, sender, activity, threaded).await
    }

    /// The same with this host id.
    pub(in crate::turn) async fn send_as(
        self: &Arc<Self>,
        host_id: Arc<str>,
        layers: usize,
        sender: &str,
        mut activity: Object,
        threaded: bool,
    ) -> Result<Arc<str>, Unsent> {
        if !self.context.address(&mut activity, threaded) {
            return Ok("".into());
        }
        match self.leave(layers, sender, Outgoing::Send(activity)).await? {
            Some(Outgoing::Send(activity)) => self.stage(host_id, activity, threaded).await.map_err(Unsent::Fault),
            _ => Ok("".into()),
        }
    }

    /// Stages the replacement of an activity that was sent before.
    pub(in crate::turn) async fn update(
        self: &Arc<Self>,
        layers: usize,
        sender: &str,
        id: &str,
        mut activity: Object,
    ) -> Result<(), Unsent> {
        self.context.address(&mut activity, false);
        let outgoing = Outgoing::Update { id: id.into(), activity };
        match self.leave(layers, sender, outgoing).await? {
            Some(Outgoing::Update { activity, .. }) => self.stage_update(id, activity).await.map_err(Unsent::Fault),
            _ => Ok(()),
        }
    }

    /// Stages the deletion of an activity that was sent before.
    pub(in crate::turn) async fn delete(self: &Arc<Self>, layers: usize, sender: &str, id: &str) -> Result<(), Unsent> {
        match self.leave(layers, sender, Outgoing::Delete { id: id.into() }).await? {
            Some(Outgoing::Delete { .. }) => self.stage_delete(id).await.map_err(Unsent::Fault),
            _ => Ok(()),
        }
    }

    /// Sets the answer to an invoke after the layers let it pass, as an activity `invokeResponse` whose value has `status` and
    /// `body`. One that is stopped leaves the invoke unanswered.
    pub(in crate::turn) async fn respond(
        self: &Arc<Self>,
        layers: usize,
        sender: &str,
        limits: &Limits,
        response: Answer,
    ) -> Result<(), Unsent> {
        if layers == 0 && self.hooks.native.is_empty() {
            self.staging().respond(Some(response));
            return Ok(());
        }
        let body = response.body.as_deref().map(json::value).and_then(Result::ok);
        let mut activity = json!({ "type": "invokeResponse", "value": { "status": response.status } });
        activity["value"]["body"] = body.into();
        let activity = activity.as_object().cloned().unwrap_or_default();
        let passed = match self.leave(layers, sender, Outgoing::Send(activity)).await? {
            Some(Outgoing::Send(activity)) => {
                let value = activity.get("value").cloned().unwrap_or_default();
                let status = value["status"].as_u64().and_then(|status| u32::try_from(status).ok());
                let body = value.get("body").filter(|body| !body.is_null()).map(Value::to_string);
                let status = status.unwrap_or(response.status.into());
                let checked = checked_response(&self.context.inbound.activity, status, body.as_deref(), limits);
                Some(checked.map_err(Unsent::Fault)?)
            }
            _ => None,
        };
        self.staging().respond(passed);
        Ok(())
    }

    /// Lets something leave through the outermost layers of so many. None: one of them stopped it.
    pub(in crate::turn) async fn leave(
        self: &Arc<Self>,
        layers: usize,
        sender: &str,
        mut outgoing: Outgoing,
    ) -> Result<Option<Outgoing>, Unsent> {
        for layer in (0..layers).rev() {
            let event = Event { kind: outgoing.kind(), name: sender.into(), data: outgoing.data().into() };
            match self.pass(layer, &event).await.map_err(|error| internal(&error))? {
                Passage::Pass => {}
                Passage::Replace(object) => {
                    // The answer to an invoke stays one, and nothing else becomes one.
                    if is_the_hosts(&object) != outgoing.is_the_hosts() {
                        let plugin = self.hooks.plugin(layer).map_err(|error| internal(&error))?.name.clone();
                        let fault = Fault::invalid("`replace`: activities of this type are made by the host only");
                        return Err(Unsent::Hook { plugin, failure: Failure::Fault(fault) });
                    }
                    outgoing = outgoing.replaced_by(object);
                }
                Passage::Stop => return Ok(None),
                Passage::Closed(failure) => {
                    let plugin = self.hooks.plugin(layer).map_err(|error| internal(&error))?.name.clone();
                    return Err(Unsent::Hook { plugin, failure });
                }
            }
        }
        for layer in self.hooks.native.iter().rev() {
            match layer.on_outgoing(&self.context, sender, &outgoing).await.map_err(Unsent::Fault)? {
                Verdict::Pass => {}
                Verdict::Replace(object) => outgoing = outgoing.replaced_by(object),
                Verdict::Stop => return Ok(None),
            }
        }
        Ok(Some(outgoing))
    }
}
