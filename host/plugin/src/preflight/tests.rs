use super::{read, refuse_by_name};

#[test]
fn files_that_are_no_components_are_refused_by_name() {
    for (bytes, part) in [
        (&b""[..], "empty"),
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\0asm", "truncated"),
        (b"\x7fELF\x02", ".cwasm"),
        (b" (component)", "text"),
        (b"#!/bin/sh", "not a WebAssembly file"),
    ] {
        assert!(refuse_by_name(bytes).unwrap().contains(part), "{part}");
    }
    assert_eq!(refuse_by_name(b"\0asm\x0d\0\x01\0"), None);
}

#[test]
fn every_problem_of_a_component_is_listed() {
    let component = wat::parse_str(
        r#"(component
            (import "turntable:bot/config@0.1.9" (instance
                (export "get" (func (param "key" string) (result (option string))))
                (export "watch" (func (param "key" string)))))
            (import "turntable:bot/turn@0.2.0" (instance (export "reply" (func))))
            (import "turntable:bot/calls@0.1.0" (instance (export "act" (func))))
            (import "wasi:io/poll@0.2.9" (instance (export "poll" (func))))
            (import "wasi:io/poll@0.3.0" (instance (export "poll" (func))))
            (import "acme:files/all@1.0.0" (instance (export "open" (func)))))"#,
    )
    .unwrap();
    let problems = read(&component).unwrap().problems();
    let wanted =
        ["`watch`", "turn@0.2.0", "calls@0.1.0`, a draft", "wasi:io/poll@0.3.0", "acme:files/all", "bot-handler"];
    for part in wanted {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part} is not in {problems:#?}");
    }
    assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
}

fn problems(text: &str) -> Vec<String> {
    let component = wat::parse_str(format!("(component {text})")).unwrap();
    let mut problems = read(&component).unwrap().problems();
    problems.retain(|problem| !problem.contains("exports no `turntable:bot/bot-handler@0.1.0`"));
    problems
}

#[test]
fn what_links_is_no_problem() {
    let text = r#"
        (import "acme:shapes/types@1.0.0" (instance (type $p (record (field "x" u32))) (export "point" (type (eq $p)))))
        (import "turntable:bot/types@0.2.0" (instance (type $p (record (field "x" u32))) (export "p" (type (eq $p)))))
        (import "turntable:bot/config@0.1.7" (instance (export "keys" (func (result (list string))))))
        (import "wasi:io/poll@0.2.99" (instance (export "pollable" (type (sub resource)))))
        (import "wasi:cli/exit@0.2.3" (instance (export "exit-with-code" (func (param "status-code" u8)))))"#;
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn each_problem_says_what_to_do() {
    for (import, parts) in [
        (r#"turntable:bot/config@0.1.9" (instance (export "watch" (func)))"#, &["`watch`", "0.1.9 or newer"][..]),
        (r#"turntable:bot/weather@0.1.3" (instance (export "f" (func)))"#, &["weather@0.1.3", "0.1.3 or newer"]),
        (r#"turntable:bot/config@0.1.0" (instance (export "watch" (func)))"#, &["`watch`", "another text"]),
        (r#"turntable:bot/config@0.2.0" (instance (export "get" (func)))"#, &["0.1.x", "newer host"]),
        (r#"turntable:bot/config" (instance (export "keys" (func (result (list string)))))"#, &["0.1.x"]),
        (r#"turntable:bot/config@0.1.0-rc.1" (instance (export "keys" (func)))"#, &["0.1.x"]),
        (
            r#"turntable:bot/config@0.1.0" (instance (export "keys" (func (result string))))"#,
            &["list<string>", "wants func() -> string"],
        ),
        (r#"turntable:bot/config@0.1.0" (instance (export "keys" (func async (result (list string)))))"#, &["--sync"]),
        (r#"turntable:bot/users@0.1.0" (instance (export "sign-out" (func)))"#, &["draft"]),
        (r#"wasi:cli/stdin@0.3.0" (instance (export "get-stdin" (func)))"#, &["WASI 0.3", "--sync"]),
        (r#"wasi:io/poll@0.2.0" (instance (export "fly" (func)))"#, &["`fly`", "WASI 0.2"]),
        (r#"wasi:keyvalue/store@0.2.0" (instance (export "open" (func)))"#, &["wasi:keyvalue/store"]),
        (r#"acme:shapes/maker@1.0.0" (instance (export "shape" (type (sub resource))))"#, &["acme:shapes/maker"]),
        (r#"open" (func)"#, &["`open`"]),
    ] {
        let found = problems(&format!("(import \"{import})"));
        assert!(found.len() == 1 && parts.iter().all(|part| found[0].contains(part)), "{import}: {found:?}");
    }
}

#[test]
fn wrong_exports_are_named() {
    let exports = |exports: &str| {
        let text = format!(
            r#"(component (core module $m (func (export "f")) (func (export "g") (result i32) i32.const 0)
                (memory (export "memory") 1)) (core instance $i (instantiate $m))
                (func $none (canon lift (core func $i "f")))
                (func $text (result string) (canon lift (core func $i "g") (memory (core memory $i "memory"))))
                {exports})"#
        );
        read(&wat::parse_str(text).unwrap()).unwrap().problems()
    };
    let both = exports(
        r#"(instance $e (export "describe" (func $none)))
        (export "turntable:bot/bot-handler@0.1.0" (instance $e))"#,
    );
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(
        both[0].contains("expected func() -> string, found func()")
            && both[1].contains("without its function `on-activity`")
    );
    let newer = exports(
        r#"(instance $e (export "describe" (func $text))) (export "turntable:bot/bot-handler@0.2.0" (instance $e))"#,
    );
    assert!(newer.len() == 1 && newer[0].contains("0.1.x"), "{newer:?}");
    let two = exports(
        r#"(instance $e (export "describe" (func $text)))
        (export "turntable:bot/bot-handler@0.2.0" (instance $e)) (export "turntable:bot/bot-handler@0.1.4" (instance $e))"#,
    );
    assert!(two.len() == 1 && two[0].contains("bot-handler@0.1.4` without its function `on-activity`"), "{two:?}");
}

#[test]
fn signatures_are_bounded() {
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for at in 1..16 {
        types += &format!("(type $t{at} (tuple $t{0} $t{0}))", at - 1);
    }
    let text = format!(r#"(component {types} (import "f" (func (param "a" $t15))))"#);
    let preflight = read(&wat::parse_str(text).unwrap()).unwrap();
    assert!(preflight.imports[0].functions["f"].chars().count() <= 2_001);
}

#[test]
fn malformed_components_are_no_panic() {
    let whole =
        wat::parse_str(r#"(component (import "a:b/c@1.0.0" (instance (export "f" (func (param "x" string))))))"#)
            .unwrap();
    for end in 8..whole.len() {
        // A prefix that ends between two sections is a component too.
        let _ = read(&whole[..end]).map(|preflight| preflight.problems());
    }
    assert!(read(&whole[..whole.len() - 1]).is_err());
}
