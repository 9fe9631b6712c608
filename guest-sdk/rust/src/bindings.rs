//! The guest side of the contract, generated from `wit/`. Only `host.rs` and `register.rs` use it.
#![allow(clippy::all, missing_docs, unreachable_pub, unsafe_code, unused_qualifications, reason = "generated code")]

wit_bindgen::generate!({ path: "../../wit", world: "plugin" });

/// The export of plugins with dialogs. `register!(…, dialogs)` exports it from the plugin's crate, because an export of the
/// SDK itself would be an export of every plugin. The linker merges this world with the world of the SDK.
pub mod dialogs {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package turntable:sdk;
            world dialogs {
                export turntable:bot/dialog-handler@0.1.0;
            }
        ",
        world: "turntable:sdk/dialogs",
        with: { "turntable:bot/types@0.1.0": crate::bindings::turntable::bot::types },
        pub_export_macro: true,
        export_macro_name: "export_dialogs",
        default_bindings_module: "turntable_sdk::__private::dialogs",
    });
}

/// The export of plugins with middleware, made by `register!(…, middleware)` in the same way.
pub mod middleware {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package turntable:sdk;
            world middleware {
                export turntable:bot/middleware@0.1.0;
            }
        ",
        world: "turntable:sdk/middleware",
        with: { "turntable:bot/types@0.1.0": crate::bindings::turntable::bot::types },
        pub_export_macro: true,
        export_macro_name: "export_middleware",
        default_bindings_module: "turntable_sdk::__private::middleware",
    });
}
