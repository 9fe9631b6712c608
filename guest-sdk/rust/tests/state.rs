//! State: what lasts, whose it is, and what happens when two write it.

use turntable_sdk::json;
use turntable_sdk::prelude::*;
use turntable_sdk::testing::{Call, TestHost};

/// Does what it is told with the value `count` of a scope.
#[derive(Default)]
struct Counter;

impl Bot for Counter {
    fn manifest(&self) -> Manifest {
        Manifest::new().wants_state([Scope::Conversation, Scope::User, Scope::Private, Scope::Bot])
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        let words: Vec<&str> = turn.text().split(' ').collect();
        let scope = match words.get(1).copied() {
            Some("conversation") => Scope::Conversation,
            Some("private") => Scope::Private,
            Some("bot") => Scope::Bot,
            _ => Scope::User,
        };
        let mut count = turn.state().of::<u32>(scope, "count");
        let said = match words[0] {
            "add" => count.update(|count| {
                *count += 1;
                *count
            })?,
            "get" => count.get()?.unwrap_or_default(),
            "set" => {
                count.set(&7)?;
                7
            }
            "overwrite" => {
                count.overwrite(&9)?;
                9
            }
            "remove" => {
                count.remove()?;
                0
            }
            "fail" => {
                count.set(&100)?;
                return Err(Fault::internal("asked to fail"));
            }
            "twice" => {
                let mut again = turn.state().of::<u32>(scope, "count");
                let (_, _) = (count.get()?, again.get()?);
                count.set(&1)?;
                // It still holds the etag of before.
                again.set(&2)?;
                2
            }
            _ => turn.state().user::<u32>("").get()?.unwrap_or_default(),
        };
        turn.reply(said.to_string())?;
        Ok(Handled)
    }
}

#[test]
fn a_value_lasts_and_can_be_removed() {
    let host = TestHost::<Counter>::new();
    host.says("get").replies("0");
    host.says("add").replies("1");
    host.says("add").replies("2");
    assert_eq!(host.stored(Scope::User, "count"), Some(json!(2)));
    host.says("remove").replies("0");
    assert_eq!(host.stored(Scope::User, "count"), None);
    host.says("set").replies("7");
    host.says("add").replies("8");
}

#[test]
fn each_scope_belongs_to_somebody_else() {
    let here = TestHost::<Counter>::new();
    let bob = here.clone().user(ChannelAccount::new("bob"));
    let there = here.clone().conversation("elsewhere");
    let counts = |scope: &str| {
        here.says(&format!("add {scope}")).replies("1");
        let add = format!("add {scope}");
        (bob.says(&add).texts()[0].to_owned(), there.says(&add).texts()[0].to_owned())
    };
    let counted = |bob: &str, there: &str| (bob.to_owned(), there.to_owned());
    assert_eq!(counts("user"), counted("1", "2"));
    assert_eq!(counts("private"), counted("1", "1"));
    assert_eq!(counts("conversation"), counted("2", "1"));
    assert_eq!(counts("bot"), counted("2", "3"));
}

#[test]
fn a_failed_turn_has_written_nothing() {
    let host = TestHost::<Counter>::new();
    host.says("fail").silent().fails("internal");
    assert_eq!(host.stored(Scope::User, "count"), None);
}

#[test]
fn a_turn_that_lost_a_race_runs_again_with_the_fresh_value() {
    let host = TestHost::<Counter>::new();
    host.store(Scope::User, "count", 1);
    host.meanwhile(Scope::User, "count", 10);
    host.says("add").replies("11");
    assert_eq!(host.stored(Scope::User, "count"), Some(json!(11)));
}

#[test]
fn the_first_write_expects_that_there_is_none() {
    let host = TestHost::<Counter>::new();
    host.meanwhile(Scope::User, "count", 10);
    host.says("add").replies("11");
}

#[test]
fn overwriting_is_last_writer_wins() {
    let host = TestHost::<Counter>::new();
    host.meanwhile(Scope::User, "count", 10);
    host.says("overwrite").replies("9");
    assert_eq!(host.stored(Scope::User, "count"), Some(json!(9)));
}

#[test]
fn a_stale_etag_within_a_turn_is_a_conflict() {
    TestHost::<Counter>::new().says("twice").silent().fails("conflict");
}

#[test]
fn what_the_host_refuses_is_a_fault_that_says_why() {
    TestHost::<Counter>::new().says("empty key").fails("invalid");
    TestHost::<Counter>::new().refuses(Call::State, Fault::denied("no grant")).says("add").silent().fails("denied");
    let host = TestHost::<Counter>::new();
    host.store(Scope::User, "count", "three");
    let fault = host.says("get").fails("invalid").result.unwrap_err();
    assert!(fault.message.starts_with("user state `count`: invalid type"), "{fault}");
}
