//! Who gets the activity: routes of global handlers, the dialog that waits, activity handlers, the bridged bot, in this
//! order, until one has handled it.

use super::{Turn, TurnError};
use crate::config::OnFailure;
use crate::dialog::{Frame, Status};
use crate::plugin::{Done, Entry, Failure, Flow, Meta, Outcome};
use crate::registry::Match;
use crate::storage::StorageError;

impl Turn {
    /// The innermost step of a turn.
    pub(super) async fn dispatch(&mut self) -> Result<(), TurnError> {
        if let Some(notification) = self.context.notification.clone() {
            return self.deliver(&notification).await;
        }
        if let Some(left) = self.context.left_open.clone() {
            return self.close_left_open(&left).await;
        }
        let generation = self.generation.clone();
        if generation.has_dialogs {
            self.effects.load_stack().await.map_err(TurnError::Storage)?;
        }
        if !generation.layers.is_empty() {
            // Which routes match is only known after the activity came through the layers, and which handlers are called
            // after that; but the instances of a turn are reserved at once.
            let all = generation.layers.len() + generation.plugins.len();
            self.instances.reserve(&self.context.inbound.key.bot, all).await?;
            if !self.receive().await? {
                return Ok(());
            }
        }
        let activity = self.activity.clone();
        self.staging().received(&activity);
        let routes = generation.routes.matches(&generation.plugins, &activity).await;
        let handles = |position: &usize| {
            generation.plugins.get(*position).is_some_and(|plugin| plugin.manifest.handles(activity.kind()))
        };
        let handlers: Vec<usize> = (0..generation.plugins.len()).filter(handles).collect();
        if !self.reserve(&routes, &handlers).await? && generation.spec.bridge.is_none() {
            return Ok(());
        }
        self.with_machine(|machine| machine.lapse_confirmation());
        let is_confirmation = self.staging().stack.top().is_some_and(Frame::is_confirmation);
        if is_confirmation && self.offer().await? {
            return Ok(());
        }
        for route in routes {
            if self.offer_route(&route).await? == Flow::Handled {
                return Ok(());
            }
        }
        if !is_confirmation && self.offer().await? {
            return Ok(());
        }
        for position in handlers {
            let text = activity.text().clone();
            if self.handle(position, "activity".to_owned(), &text).await? == Flow::Handled {
                return Ok(());
            }
        }
        self.hand_to_bridge("activity").await
    }

    /// Takes the activity through the layers of middleware. False: one of them stopped it.
    pub(super) async fn receive(&mut self) -> Result<bool, TurnError> {
        let received = self.effects.receive().await?;
        self.layers_passed = received.layers;
        self.activity = received.activity;
        self.stopped = received.stopped;
        Ok(!received.stopped)
    }

    /// Takes the instance slots of every plugin that the turn may call; false if there is none.
    async fn reserve(&mut self, routes: &[Match], handlers: &[usize]) -> Result<bool, TurnError> {
        let mut needed: Vec<usize> = routes.iter().map(|route| route.plugin).chain(handlers.iter().copied()).collect();
        let plugins = &self.generation.plugins;
        let waits = {
            let frames = &self.effects.staging().stack.frames;
            for frame in frames {
                needed.extend(plugins.iter().position(|plugin| plugin.name == frame.plugin));
                if let Status::Confirm { plugin: route, .. } = &frame.status {
                    needed.extend(plugins.iter().position(|plugin| plugin.name == *route));
                }
            }
            !frames.is_empty()
        };
        needed.sort_unstable();
        needed.dedup();
        if !needed.is_empty() && self.generation.layers.is_empty() {
            self.instances.reserve(&self.context.inbound.key.bot, needed.len()).await?;
        }
        // A frame whose plugin is gone needs no instance, but an end.
        Ok(waits || !needed.is_empty())
    }

    /// Runs a route that matched, or first asks whether it may interrupt.
    async fn offer_route(&mut self, found: &Match) -> Result<Flow, TurnError> {
        let generation = self.generation.clone();
        let Some(plugin) = generation.plugins.get(found.plugin) else { return Ok(Flow::Next) };
        let question = plugin.manifest.routes.iter().find(|route| route.name == found.name);
        let question = question.and_then(|route| route.confirm.as_deref());
        let interrupts = self.staging().stack.waits();
        if let (Some(question), true) = (question, interrupts) {
            self.confirm_route(plugin.name.clone(), &found.name, question).await?;
            return Ok(Flow::Handled);
        }
        let activity = self.activity.text().clone();
        self.take_route(found.plugin, &found.name, &activity).await
    }

    /// Runs a route with an activity. A dialog that it interrupted and left alone repeats its question.
    pub(super) async fn take_route(&mut self, position: usize, name: &str, activity: &str) -> Result<Flow, TurnError> {
        let before = self.with_machine(|machine| machine.interruption());
        let flow = self.handle(position, format!("route:{name}"), activity).await?;
        let reprompts = self.generation.plugins.get(position).is_none_or(|plugin| {
            plugin.manifest.routes.iter().find(|route| route.name == *name).is_none_or(|route| route.reprompts)
        });
        if flow == Flow::Handled && reprompts && self.with_machine(|machine| machine.interrupted(&before)) {
            self.run_until_waiting().await?;
        }
        Ok(flow)
    }

    /// Calls `on-activity` of a plugin, and runs the dialogs that it began or cancelled. All of it is one savepoint: a
    /// failure undoes it, and the plugin's `on-failure` says whether the turn goes on.
    pub(super) async fn handle(&mut self, position: usize, trigger: String, activity: &str) -> Result<Flow, TurnError> {
        let savepoint = self.staging().savepoint();
        let meta = self.context.meta(trigger, Some(&self.activity)).await;
        let result = match self.enter(position, &meta, Entry::Activity(activity)).await {
            Ok(Done::Flow(flow)) => self.run_until_waiting().await.map(|()| flow),
            Ok(Done::Step(_)) => Err(TurnError::Host("on-activity returned a step".to_owned())),
            Err(error) => Err(error),
        };
        let on_failure = self.generation.spec.plugins.get(position).map(|spec| spec.on_failure);
        match result {
            Err(TurnError::Plugin { .. }) if on_failure == Some(OnFailure::Continue) => {
                self.staging().roll_back(savepoint);
                Ok(Flow::Next)
            }
            other => other,
        }
    }

    /// Calls a plugin in its instance of this turn. A failure undoes what the call staged.
    pub(super) async fn enter(&mut self, position: usize, meta: &Meta, entry: Entry<'_>) -> Result<Done, TurnError> {
        let generation = self.generation.clone();
        let Some(plugin) = generation.plugins.get(position) else {
            return Err(TurnError::Host("the plugin is not of this generation".to_owned()));
        };
        let Some(slot) = self.instances.of(position) else {
            return Err(TurnError::Host("the plugin is not of this generation".to_owned()));
        };
        let savepoint = self.effects.staging().savepoint();
        let turn = self.effects.for_guest(plugin, self.effects.hooks.layers());
        let (record, outcome) = slot.call(&self.context.services.plugins, plugin, turn, meta, entry).await;
        plugin.metrics.called(&plugin.bot, &plugin.name, outcome.label(), record.duration(), record.cpu());
        self.effects.hooks.record(record);
        self.effects.end_flush_of(plugin).await;
        let mut staging = self.staging();
        match outcome {
            // Whatever the guest made of the fault.
            _ if staging.overtaken() => Err(TurnError::Storage(StorageError::Conflict)),
            Outcome::Done(done) => Ok(done),
            Outcome::Failed(failure) => {
                staging.roll_back(savepoint);
                match failure {
                    Failure::Host(why) => Err(TurnError::Host(why)),
                    failure => Err(TurnError::Plugin { plugin: plugin.name.clone(), failure }),
                }
            }
        }
    }
}
