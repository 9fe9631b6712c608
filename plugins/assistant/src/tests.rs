use turntable_sdk::testing::{HttpReply, TestHost};

use super::*;

fn host() -> TestHost<Assistant> {
    TestHost::new().setting("url", "https://model.example/v1/").setting("model", "small")
}

const ANSWER: [&str; 5] = [
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"con",
    "tent\":\"Par\"}}]}\r\n\r\n: a comment\n",
    "event: x\ndata: {\"choices\":[{\"delta\":{\"content\":\"is.\"}}]}\r",
    "\n\r\ndata: {\"choices\":[],\"usage\":{}}\n\n",
    "data: [DONE]\n\n",
];

#[test]
fn it_answers_with_the_text_of_the_model() {
    let host = host().serves(|request| {
        assert_eq!((&*request.method, &*request.url), ("POST", "https://model.example/v1/chat/completions"));
        HttpReply::in_chunks(200, ANSWER)
    });
    host.says("What is the capital of France?").replies("Paris.").handled();
}

#[test]
fn it_remembers_the_conversation_within_its_bound() {
    let host = host().setting("memory-messages", 2).setting("instructions", "Be short.").serves(|request| {
        let body: Value = std::str::from_utf8(request.body.as_deref().unwrap()).unwrap().parse().unwrap();
        let said: Vec<String> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|said| format!("{} {}", said["role"].as_str().unwrap(), said["content"].as_str().unwrap()))
            .collect();
        let event = json!({ "choices": [{ "delta": { "content": said.join("|") } }] });
        HttpReply::new(200, format!("data: {event}\n\ndata: [DONE]\n\n"))
    });
    host.says("one").replies("system Be short.|user one");
    host.says("two").replies("system Be short.|user one|assistant system Be short.|user one|user two");
    let third = host.says("three");
    let [text] = third.texts()[..] else { panic!("one answer") };
    // The model gets the last two messages of the conversation, and the new one.
    assert!(text.starts_with("system Be short.|user two|assistant system Be short.|user one|"), "{text}");
    assert!(text.ends_with("|user three"), "{text}");
}

#[test]
fn what_a_model_does_wrong_fails_the_turn() {
    for (reply, why) in [
        (HttpReply::new(401, "{}"), "401: the key is missing or wrong"),
        (HttpReply::new(404, "{}"), "404: it does not have this model"),
        (HttpReply::new(429, "{}"), "429: the limit of the account"),
        (HttpReply::new(200, ""), "no text"),
        (HttpReply::new(200, "data: no JSON\n\n"), "not JSON"),
        (HttpReply::new(200, vec![b'd', 0xff, b'\n']), "not UTF-8"),
        (HttpReply::new(200, format!("data: {}", "x".repeat(300 << 10))), "too long"),
        (HttpReply::new(200, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"), "the model failed: overloaded"),
        (HttpReply::fails(Fault::denied("no grant")), "no grant"),
    ] {
        let answer = host().serves(move |_| reply.clone()).says("hi");
        let fault = answer.result.unwrap_err();
        assert!(fault.message.contains(why), "{}: {why}", fault.message);
    }
}
