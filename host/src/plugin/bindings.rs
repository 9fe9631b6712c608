//! What `bindgen!` makes of the contract, and nothing else.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: {
        "turntable:bot/config": trappable,
        "turntable:bot/log": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    require_store_data_send: true,
    anyhow: true,
});
