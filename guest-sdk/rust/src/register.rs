//! The macro `register!`, which makes a crate a plugin, and the exports of the component.

use crate::middleware::{self, HookEvent};
use crate::{Bot, DialogSet, Dialogs, Manifest, Middleware, Passage};

/// Registers a type as the crate's bot. Use it once, at the top level of `lib.rs`.
///
/// The type must implement [`Bot`] and [`Default`]. The SDK creates a new value for every turn, because the host stores
/// everything that outlives a turn. The plugin has the name and version of the Cargo package unless its manifest sets others.
///
/// ```
/// use turntable_sdk::prelude::*;
///
/// #[derive(Default)]
/// struct Echo;
///
/// impl Bot for Echo {
///     fn on_message(&mut self, turn: &mut Turn) -> Result {
///         turn.reply(format!("Echo: {}", turn.text()))?;
///         Ok(Handled)
///     }
/// }
///
/// turntable_sdk::register!(Echo);
/// # fn main() {}
/// ```
///
/// Add the other roles of the bot after its name:
///
/// - `turntable_sdk::register!(YourBot, dialogs)` for a bot with [`Dialogs`];
/// - `turntable_sdk::register!(YourBot, middleware)` for a bot with [`Middleware`];
/// - `turntable_sdk::register!(YourBot, dialogs, middleware)` for both.
///
/// It is a compile error if the type does not implement `Bot` or `Default`, or if there is a second registration. A missing
/// registration is an error only when the component is linked: `undefined symbol: turntable_sdk::register!(YourBot)`.
/// `cargo check` and native builds do not link a component, so they do not detect it.
#[macro_export]
macro_rules! register {
    ($bot:ty $(,)?) => {
        #[doc(hidden)]
        #[cfg_attr(target_family = "wasm", unsafe(export_name = "turntable_sdk::register!(YourBot)"))]
        pub fn the_bot_is_registered_once() -> $crate::__private::Plugin {
            $crate::__private::Plugin::of::<$bot>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        }
    };
    ($bot:ty, dialogs $(,)?) => {
        #[doc(hidden)]
        #[cfg_attr(target_family = "wasm", unsafe(export_name = "turntable_sdk::register!(YourBot)"))]
        pub fn the_bot_is_registered_once() -> $crate::__private::Plugin {
            $crate::__private::Plugin::with_dialogs::<$bot>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        }

        $crate::register!(@export dialogs export_dialogs);
    };
    ($bot:ty, middleware $(,)?) => {
        #[doc(hidden)]
        #[cfg_attr(target_family = "wasm", unsafe(export_name = "turntable_sdk::register!(YourBot)"))]
        pub fn the_bot_is_registered_once() -> $crate::__private::Plugin {
            $crate::__private::Plugin::of::<$bot>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                .and_middleware::<$bot>()
        }

        $crate::register!(@export middleware export_middleware);
    };
    ($bot:ty, dialogs, middleware $(,)?) => {
        #[doc(hidden)]
        #[cfg_attr(target_family = "wasm", unsafe(export_name = "turntable_sdk::register!(YourBot)"))]
        pub fn the_bot_is_registered_once() -> $crate::__private::Plugin {
            $crate::__private::Plugin::with_dialogs::<$bot>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                .and_middleware::<$bot>()
        }

        $crate::register!(@export dialogs export_dialogs);
        $crate::register!(@export middleware export_middleware);
    };
    (@export $world:ident $export:ident) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::Component;
            $crate::__private::$world::$export!(Component with_types_in $crate::__private::$world);
        };
    };
    ($bot:ty, $other:tt $(,)?) => {
        compile_error!(concat!(
            "`",
            stringify!($other),
            "` is not a role that a plugin can have; write `turntable_sdk::register!(YourBot);`, or ",
            "with `, dialogs`, `, middleware` or `, dialogs, middleware` after it"
        ));
    };
    () => {
        compile_error!("name the type that implements `Bot`: `turntable_sdk::register!(YourBot);`");
    };
}

/// A registered bot without its type.
#[doc(hidden)]
#[derive(Debug)]
pub struct Plugin {
    /// Returns the bot's manifest for a package name and version.
    pub describe: fn(&str, &str) -> Manifest,
    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "only a component has an entry point"))]
    run: fn(&mut crate::Turn) -> crate::Result,
    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "only a component has an entry point"))]
    dialogs: fn() -> DialogSet,
    #[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "only a component has an entry point"))]
    middleware: fn(&mut crate::Turn, HookEvent<'_>) -> crate::Result<Option<Passage>>,
    /// True if the manifest lists the role `middleware`.
    is_middleware: bool,
    package: (&'static str, &'static str),
}

/// A type that can be created for each turn. A trait of its own gives a better compile error than `Default`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be built for each turn",
    label = "this type has no `Default`",
    note = "the SDK creates a new bot for every turn: add `#[derive(Default)]` to `{Self}`, or implement `Default` for it"
)]
pub trait PerTurn: Sized {
    fn build() -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Default> PerTurn for T {
    fn build() -> Self {
        Self::default()
    }
}

impl Plugin {
    /// Registers a bot.
    pub fn of<B: Bot + PerTurn>(name: &'static str, version: &'static str) -> Self {
        Self {
            describe: |name, version| B::build().manifest().of_package(name, version),
            run: |turn| crate::dispatch::run(&mut B::build(), turn),
            dialogs: DialogSet::new,
            middleware: |_, _| Ok(None),
            is_middleware: false,
            package: (name, version),
        }
    }

    /// Registers a bot with dialogs.
    pub fn with_dialogs<B: Dialogs + PerTurn>(name: &'static str, version: &'static str) -> Self {
        Self {
            describe: |name, version| {
                let bot = B::build();
                bot.manifest().of_dialogs(&bot.dialogs()).of_package(name, version)
            },
            dialogs: || B::build().dialogs(),
            ..Self::of::<B>(name, version)
        }
    }

    /// Adds the bot's middleware.
    #[must_use]
    pub fn and_middleware<B: Middleware + PerTurn>(self) -> Self {
        Self { middleware: |turn, event| middleware::take(&mut B::build(), turn, event), is_middleware: true, ..self }
    }

    /// Returns the manifest as JSON text.
    pub fn manifest(&self) -> String {
        let manifest = (self.describe)(self.package.0, self.package.1);
        let manifest = if self.is_middleware { manifest.of_middleware() } else { manifest };
        manifest.into_value().to_string()
    }
}

#[cfg(target_family = "wasm")]
pub(crate) mod component {
    //! The exports of the component.
    #![expect(unsafe_code, reason = "the registered bot is found by its symbol when the component is linked")]

    use std::rc::Rc;

    use super::Plugin;
    use crate::bindings::dialogs::exports::turntable::bot::dialog_handler;
    use crate::bindings::exports::turntable::bot::bot_handler::{Fault, Flow, Guest, TurnMeta};
    use crate::bindings::middleware::exports::turntable::bot::middleware as exported;
    use crate::bindings::turntable::bot::types;
    use crate::host::{Imports, fault_out, flow_out, meta_in, step_out};
    use crate::middleware::HookEvent;
    use crate::{Activity, Event, Passage, Step, Turn, Value};

    unsafe extern "Rust" {
        #[link_name = "turntable_sdk::register!(YourBot)"]
        safe fn registered() -> Plugin;
    }

    /// Implements the exports by calling the registered bot.
    #[doc(hidden)]
    #[derive(Debug)]
    pub struct Component;

    impl Guest for Component {
        fn describe() -> String {
            registered().manifest()
        }

        fn on_activity(meta: TurnMeta, activity: String) -> Result<Flow, Fault> {
            handle(meta, &activity).map(flow_out).map_err(fault_out)
        }
    }

    impl dialog_handler::Guest for Component {
        fn on_dialog(meta: TurnMeta, event: types::Event, state: Option<String>) -> Result<types::Step, Fault> {
            take(meta, &event, state.as_deref()).map(step_out).map_err(fault_out)
        }
    }

    impl exported::Guest for Component {
        fn on_event(meta: TurnMeta, event: types::Event) -> Result<types::Step, Fault> {
            let step = |kind: &str, data: String| types::Step { kind: kind.to_owned(), state: None, data };
            match intercept(meta, &event).map_err(fault_out)? {
                None => Ok(step("ignored", String::new())),
                Some(Passage::Pass) => Ok(step("pass", String::new())),
                Some(Passage::Stop) => Ok(step("stop", String::new())),
                Some(Passage::Replace(activity)) => {
                    Ok(step("replace", Value::Object(activity.into_object()).to_string()))
                }
            }
        }
    }

    fn intercept(meta: TurnMeta, event: &types::Event) -> crate::Result<Option<Passage>> {
        let mut meta = meta_in(meta);
        let activity = match event.kind.as_str() {
            "receive" => serde_json::from_str(&event.data)?,
            _ => Activity::new(&*meta.kind),
        };
        meta.extra.push(("sender".to_owned(), event.name.clone()));
        let mut turn = Turn::new(meta, activity, Rc::new(Imports));
        (registered().middleware)(&mut turn, HookEvent { kind: &event.kind, data: &event.data })
    }

    fn take(meta: TurnMeta, event: &types::Event, state: Option<&str>) -> crate::Result<Step> {
        let event = Event::read(&event.kind, &event.name, &event.data)?;
        let mut turn = Turn::new(meta_in(meta), event.activity(), Rc::new(Imports));
        (registered().dialogs)().take(&mut turn, &event, state)
    }

    fn handle(meta: TurnMeta, activity: &str) -> crate::Result {
        let activity: Activity = serde_json::from_str(activity)?;
        let mut turn = Turn::new(meta_in(meta), activity, Rc::new(Imports));
        (registered().run)(&mut turn)
    }

    crate::bindings::export!(Component with_types_in crate::bindings);
}
