//! The compile errors that authors meet when a registration is wrong: their text is golden.
//!
//! After a change of text, or of the compiler, `TRYBUILD=overwrite cargo test -p turntable-sdk --test compile` writes the
//! files anew; read the difference before committing it. What a crate without any registration gets is a link error of
//! its component; `tests/spec/sdk.rs` sees it.

#[test]
fn a_wrong_registration_says_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/compile/*.rs");
}
