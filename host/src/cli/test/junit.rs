//! Results in the JUnit format, which CI servers read.

use std::fmt::Write;
use std::time::Duration;

/// One conversation.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

/// How a conversation went, with what there is to say of it.
pub(super) enum Outcome {
    Same,
    Differs(String),
    Failed(String),
}

/// Returns the report as XML.
pub(super) fn report(cases: &[Case]) -> String {
    let count = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Differs(_)));
    let errors = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let seconds: f64 = cases.iter().map(|case| case.took.as_secs_f64()).sum();
    let totals = format!("tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\"", cases.len());
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"conversations\" {totals}>\n");
    for case in cases {
        // Writing to a string does not fail.
        let _ = writeln!(xml, "{}", element(case));
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn element(case: &Case) -> String {
    let (name, seconds) = (escaped(&case.name), case.took.as_secs_f64());
    let begin = format!("  <testcase classname=\"conversations\" name=\"{name}\" time=\"{seconds:.3}\"");
    let (tag, message, text) = match &case.outcome {
        Outcome::Same => return format!("{begin}/>"),
        Outcome::Differs(text) => ("failure", "the replies differ", text),
        Outcome::Failed(text) => ("error", "the conversation could not run", text),
    };
    format!("{begin}><{tag} message=\"{message}\">{}</{tag}></testcase>", escaped(text))
}

/// Escapes a text, and replaces what XML cannot have, such as control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(char),
            _ if char < ' ' || matches!(char, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            _ => escaped.push(char),
        }
    }
    escaped
}
