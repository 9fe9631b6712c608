//! Drives the dialog machine: does with plugins, channel and store what it decides.

pub(crate) mod rehearsal;

use std::sync::Arc;

use jiff::Zoned;
use serde_json::json;

use super::stack::fault;
use super::{Turn, TurnError};
use crate::config::{DateOrder, OnNewer};
use crate::dialog::{Broken, Call, Effect, FAILED_TEXT, Machine, Offer, RESET_TEXT, Report, Run, Scene, Step};
use crate::plugin::{Done, Entry, Event, Failure, Fault};
use crate::storage::StorageError;

impl Turn {
    /// Runs what is staged on the stack until its top waits.
    pub(super) async fn run_until_waiting(&mut self) -> Result<(), TurnError> {
        self.perform(Run::default()).await.map(drop)
    }

    /// Offers the activity of the turn to the dialog that waits. False: the handlers get it.
    pub(super) async fn offer(&mut self) -> Result<bool, TurnError> {
        if self.staging().is_idle() && self.staging().lost_dialogs() && self.activity.kind() == "message" {
            // The message was for a dialog that nobody can find any more.
            if self.dialogs.tell_of_reset() {
                self.tell_of_reset().await?;
            }
            return Ok(true);
        }
        let run = self.with_machine(|machine| machine.offer())?;
        match self.perform(run).await? {
            Offer::Left => Ok(false),
            Offer::Taken => Ok(true),
            Offer::Route { plugin, route, activity } => {
                if let Some(position) = self.position(&plugin) {
                    self.take_route(position, &route, &activity).await?;
                }
                self.run_until_waiting().await.map(|()| true)
            }
        }
    }

    /// Asks before a route interrupts the dialog that waits.
    pub(super) async fn confirm_route(
        &mut self,
        plugin: Arc<str>,
        route: &str,
        question: &str,
    ) -> Result<(), TurnError> {
        let run = self.with_machine(|machine| machine.confirm_route(plugin, route, question));
        self.perform(run).await.map(drop)
    }

    /// Counts a failed turn against the dialog that it was about. The caller has dropped what the turn staged. A dialog that
    /// failed too often is taken off the stack, and the user is told.
    pub(super) async fn count_failure(&mut self) -> Result<(), TurnError> {
        if !self.with_machine(|machine| machine.count_failure()) {
            return Ok(());
        }
        let text = self.generation.spec.dialog_failed_text.clone();
        let text = text.as_deref().unwrap_or(FAILED_TEXT);
        self.say_anyway(text).await?;
        // What is left goes on, unless that fails too: then it waits for the next message.
        let savepoint = self.staging().savepoint();
        match self.run_until_waiting().await {
            Err(TurnError::Plugin { plugin, failure }) => {
                tracing::warn!(turn = %self.context.turn_id, %plugin, %failure, "a dialog could not go on");
                self.staging().roll_back(savepoint);
                Ok(())
            }
            other => other,
        }
    }

    /// Lets the machine take one step, which waits for nothing, while what is staged is locked.
    pub(super) fn with_machine<T>(&mut self, step: impl FnOnce(&mut Machine<'_>) -> T) -> T {
        let mut staging = self.effects.staging();
        let spec = &self.generation.spec;
        let now = || match &spec.time_zone {
            Some(zone) => Zoned::now().with_time_zone(zone.clone()),
            None => Zoned::now(),
        };
        let scene = Scene {
            catalog: &*self.generation,
            activity: &self.activity,
            notified: self.context.notification.as_ref().map(|notification| &*notification.user),
            now: &now,
            month_first: spec.date_order.map(|order| order == DateOrder::MonthDay),
            holds_newer: spec.on_newer == OnNewer::Hold,
        };
        step(&mut Machine { stack: &mut staging.stack, progress: &mut self.dialogs, scene })
    }

    /// Does what the machine decides until the run ends.
    async fn perform(&mut self, mut run: Run) -> Result<Offer, TurnError> {
        loop {
            let next = self.with_machine(|machine| machine.next(&mut run))?;
            let Some(effect) = next else { return Ok(run.end()) };
            match effect {
                Effect::Call(call) => match self.enter_dialog(&call).await {
                    Ok(step) => self.with_machine(|machine| machine.step(&mut run, &step))?,
                    Err(TurnError::Plugin { .. }) if call.is_farewell => {}
                    Err(error) => return Err(error),
                },
                Effect::Count { plugin } => self.count_question(&plugin)?,
                Effect::Send(question) => drop(self.send(question, true).await?),
                Effect::TellOfReset => self.tell_of_reset().await?,
                Effect::Flush { plugin } => self.flush(&plugin).await?,
                Effect::Report(report) => self.report(&report),
            }
        }
    }

    /// Calls `on-dialog`.
    async fn enter_dialog(&mut self, call: &Call) -> Result<Step, TurnError> {
        let Some(position) = self.position(&call.plugin) else {
            return Err(TurnError::Host("the plugin of a dialog is not of this generation".to_owned()));
        };
        let event = Event { kind: call.event, name: call.dialog.clone(), data: call.data.clone() };
        let mut meta = self.context.meta(format!("dialog:{}", call.dialog), Some(&self.activity)).await;
        meta.frame = Some((call.frame.clone(), call.depth));
        match self.enter(position, &meta, Entry::Dialog(&event, call.state.as_deref())).await? {
            Done::Step(step) => Ok(Step { kind: step.kind, state: step.state, data: step.data }),
            Done::Flow(_) => Err(TurnError::Host("on-dialog returned no step".to_owned())),
        }
    }

    /// Counts a question that a plugin has the host ask as one that it sends itself.
    fn count_question(&mut self, plugin: &Arc<str>) -> Result<(), TurnError> {
        let Some(position) = self.position(plugin) else { return Ok(()) };
        let Some(known) = self.generation.plugins.get(position).cloned() else { return Ok(()) };
        self.staging().count(&known.limits).map_err(|fault| refused(plugin, fault))
    }

    async fn flush(&mut self, plugin: &Arc<str>) -> Result<(), TurnError> {
        let flushed = self.effects.flush().await;
        flushed.map_err(|fault| match self.overtaken() {
            true => TurnError::Storage(StorageError::Conflict),
            false => refused(plugin, fault),
        })
    }

    fn report(&self, report: &Report) {
        let turn = &self.context.turn_id;
        match report {
            Report::Reset { frame, why } => {
                tracing::warn!(bot = %self.generation.spec.name, plugin = %frame.plugin, dialog = %frame.dialog,
                    state_version = frame.state_version, %turn, why, "a dialog is reset");
            }
            Report::Unfit { dialog, why } => {
                tracing::debug!(%turn, %dialog, why, "an answer does not fit its prompt");
            }
        }
    }

    async fn tell_of_reset(&mut self) -> Result<(), TurnError> {
        let text = self.generation.spec.dialog_reset_text.clone();
        let text = text.as_deref().unwrap_or(RESET_TEXT);
        self.say(text).await
    }

    /// Stages a text of the host itself.
    async fn say(&mut self, text: &str) -> Result<(), TurnError> {
        if text.is_empty() {
            return Ok(());
        }
        let message = json!({"type": "message", "text": text, "inputHint": "acceptingInput"});
        let message = message.as_object().cloned().unwrap_or_default();
        self.send(message, true).await.map(drop)
    }

    /// The same for a text that nothing depends on: middleware that failed keeps it from leaving, and from nothing else.
    pub(super) async fn say_anyway(&mut self, text: &str) -> Result<(), TurnError> {
        match self.say(text).await {
            Err(TurnError::Plugin { plugin, failure }) => {
                tracing::warn!(turn = %self.context.turn_id, %plugin, %failure, "middleware failed, and the user is told nothing");
                Ok(())
            }
            other => other,
        }
    }

    fn position(&self, plugin: &str) -> Option<usize> {
        self.generation.plugins.iter().position(|known| *known.name == *plugin)
    }
}

impl From<Broken> for TurnError {
    fn from(broken: Broken) -> Self {
        refused(&broken.plugin, fault(broken.refusal))
    }
}

/// The failure of a plugin that broke a rule of the contract.
fn refused(plugin: &Arc<str>, fault: Fault) -> TurnError {
    TurnError::Plugin { plugin: plugin.clone(), failure: Failure::Fault(fault) }
}
