//! What `bindgen!` makes of the contract, and nothing else: one world for each exported interface, so that a component
//! may lack all but the first.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    imports: {
        // What never waits is a plain function, which costs no future.
        "turntable:bot/config": trappable,
        "turntable:bot/log": trappable,
        "turntable:bot/dialogs": trappable,
        "turntable:bot/conversations.reference": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    require_store_data_send: true,
    anyhow: true,
});

pub(super) mod dialogs {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package turntable:host;
            world dialogs {
                export turntable:bot/dialog-handler@0.1.0;
            }
        ",
        world: "turntable:host/dialogs",
        with: { "turntable:bot/types": super::turntable::bot::types },
        exports: { default: async },
        require_store_data_send: true,
        anyhow: true,
    });
}

pub(super) mod middleware {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package turntable:host;
            world middleware {
                export turntable:bot/middleware@0.1.0;
            }
        ",
        world: "turntable:host/middleware",
        with: { "turntable:bot/types": super::turntable::bot::types },
        exports: { default: async },
        require_store_data_send: true,
        anyhow: true,
    });
}
