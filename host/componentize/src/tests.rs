//! A module that does not fit the contract is refused with a reason.

use super::*;

fn refused(module: &[u8]) -> String {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    format!("{:#}", component(module, &wit, "full-plugin").unwrap_err())
}

#[test]
fn a_missing_export_is_named() {
    let empty = b"\0asm\x01\0\0\0";
    let message = refused(empty);
    assert!(message.contains("failed to find export of interface `turntable:bot/"), "{message}");
}

#[test]
fn what_is_no_module_is_refused() {
    assert!(!refused(b"no module").is_empty());
}
