use serde_json::{Value, json};

use super::*;
use crate::Object;

const BOT: &str = "28:b";

/// A message to the bot on a channel.
fn on(channel: &str, text: &str) -> Object {
    let activity = json!({
        "type": "message", "channelId": channel, "conversation": { "id": "c" }, "text": text,
        "recipient": { "id": BOT, "name": "Q&A Bot" },
    });
    activity.as_object().unwrap().clone()
}

fn activity(object: &Object) -> Activity {
    Activity::from_object(object).unwrap()
}

fn heard(channel: &str, text: &str) -> String {
    activity(&on(channel, text)).heard_text()
}

fn spoken(channel: &str, text: &str) -> String {
    activity(&on(channel, text)).spoken_text()
}

/// What is spoken where the bot is mentioned by these entities.
fn mentioned(text: &str, entities: &[Value]) -> String {
    let mut message = on("msteams", text);
    message.insert("entities".into(), entities.into());
    let message = activity(&message);
    assert_eq!(message.str("text"), text, "the activity stays verbatim");
    assert_eq!(message.heard_text(), message.spoken_text(), "{text}");
    message.spoken_text()
}

fn mention(text: Option<&str>, name: &str) -> Value {
    let mut mention = json!({ "type": "mention", "mentioned": { "id": BOT, "name": name } });
    if let Some(text) = text {
        mention["text"] = text.into();
    }
    mention
}

#[test]
fn a_mention_of_the_bot_is_no_part_of_what_is_said() {
    let tag = Some("<at>Bot</at>");
    for (text, entity, said) in [
        ("<at>Bot</at> help", mention(tag, "Bot"), "help"),
        ("help <at>Bot</at>", mention(tag, "Bot"), "help"),
        ("please <at>Bot</at> help", mention(tag, "Bot"), "please help"),
        ("please <at>Bot</at>, help", mention(tag, "Bot"), "please, help"),
        ("<at>Bot</at>, help", mention(tag, "Bot"), "help"),
        ("<at>Bot</at>: help", mention(tag, "Bot"), "help"),
        ("<at>Bot</at> -5", mention(tag, "Bot"), "-5"),
        ("<at>Bot</at>\u{a0}help", mention(tag, "Bot"), "help"),
        ("<at>Bot</at>&nbsp;help", mention(tag, "Bot"), "help"),
        ("\r\n<at>Bot</at> help\r\n", mention(tag, "Bot"), "help"),
        ("<at>Bot</at> <at>Bot</at> help", mention(tag, "Bot"), "help"),
        ("help<at>Bot</at>me", mention(tag, "Bot"), "help me"),
        ("<AT>bot</AT> help", mention(tag, "Bot"), "help"),
        (r#"<at id="0">Bot</at> help"#, mention(tag, "Bot"), "help"),
        (r#"<at id="0">Bot</at> help"#, mention(Some(r#"<at id="1">Bot</at>"#), "Bot"), "help"),
        ("<at> Bot </at> help", mention(tag, "Bot"), "help"),
        ("<at>Bot</at> help", mention(Some("Bot"), "Bot"), "help"),
        ("@Bot help", mention(Some("@Bot"), "Bot"), "help"),
        ("@bot help", mention(Some("@Bot"), "Bot"), "help"),
        ("@机器人帮助", mention(Some("@机器人"), "机器人"), "帮助"),
        // Without the text of the mention.
        ("<at>Q&A Bot</at> help", mention(None, "Q&A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(None, "Q&A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(None, "Q&amp;A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(Some(""), "Q&A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(None, ""), "help"),
        ("@Q&A Bot help", mention(None, "Q&A Bot"), "help"),
        ("@Botany help", mention(None, "Bot"), "@Botany help"),
        // The one escaped and the other not.
        ("<at>Q&amp;A Bot</at> help", mention(Some("<at>Q&A Bot</at>"), "Q&A Bot"), "help"),
        ("<at>Q&A Bot</at> help", mention(Some("<at>Q&amp;A Bot</at>"), "Q&A Bot"), "help"),
        ("&lt;at&gt;Q&amp;A Bot&lt;/at&gt; help", mention(Some("<at>Q&A Bot</at>"), "Q&A Bot"), "help"),
        ("<at>Q&A&nbsp;\u{a0} Bot</at> help", mention(Some("<at>Q&A Bot</at>"), "Q&A Bot"), "help"),
        ("<at>O&#39;Bot</at> help", mention(None, "O'Bot"), "help"),
        // A regular expression is a name like any other.
        ("<at>.*</at> help", mention(Some("<at>.*</at>"), ".*"), "help"),
        ("<at>Bot</at> help", mention(Some(".*"), ".*"), "<at>Bot</at> help"),
        ("(((((help", mention(Some("(("), "["), "(help"),
        ("<at>(a+)+$ [x</at> help", mention(None, "(a+)+$ [x"), "help"),
        ("\\d{9} help", mention(Some("\\d{9}"), "\\"), "help"),
    ] {
        assert_eq!(mentioned(text, std::slice::from_ref(&entity)), said, "{text} with {entity}");
    }
}

#[test]
fn mentions_of_others_are_said() {
    let ann = json!({ "type": "mention", "mentioned": { "id": "29:a", "name": "Ann" }, "text": "<at>Ann</at>" });
    let bot = mention(Some("<at>Bot</at>"), "Bot");
    assert_eq!(mentioned("<at>Bot</at> ask <at>Ann</at>", &[ann, bot]), "ask <at>Ann</at>");
    // Teams makes one mention for each word of a name.
    let words = [mention(Some("<at>Q&amp;A</at>"), "Q&A"), mention(Some("<at>Bot</at>"), "Bot")];
    assert_eq!(mentioned("<at>Q&amp;A</at>&nbsp;<at>Bot</at> help", &words), "help");
    let nobody = json!([7, null, {}, { "type": "mention" }, { "type": "mention", "mentioned": 7, "text": [] }]);
    assert_eq!(mentioned("<at>Bot</at> help", nobody.as_array().unwrap()), "<at>Bot</at> help");
}

#[test]
fn mentions_without_number_take_no_more_time_than_some() {
    let numbered = |count: usize| -> Vec<Value> { (0..count).map(|n| mention(Some(&format!("[{n}]")), "")).collect() };
    assert_eq!(mentioned("[0] [49] [50]", &numbered(10_000)), "[50]");
    let same = vec![mention(Some("<at>Bot</at>"), "Bot"); 10_000];
    assert_eq!(mentioned("<at>Bot</at> help", &same), "help");
    let long: Vec<Value> = (0..50).map(|n| mention(Some(&"ß".repeat(400 + n)), "")).collect();
    assert_eq!(mentioned("help", &long), "help");
}

#[test]
fn what_is_quoted_is_no_part_of_what_is_said() {
    let reply = r#"<blockquote itemscope="" itemtype="http://schema.skype.com/Reply" itemid="1772050244572">"#;
    for (channel, text, said) in [
        ("msteams", r#"<quoted messageId="1772050244572"/> 3"#, "3"),
        ("msteams", r#"<quoted messageId="1772050244572" /> 3"#, "3"),
        ("msteams", r#"<quoted messageId="1772050244572"></quoted>3"#, "3"),
        ("msteams", r#"<quoted messageId="1772050244572">How many of 10?</quoted> 3"#, "3"),
        ("msteams", r#"<quoted messageId="1772050244572"> 3"#, "3"),
        ("msteams", "<QUOTED messageid='1'/>\r\n3", "3"),
        ("msteams", r#"&lt;quoted messageId=&quot;1&quot;/&gt; 3"#, "3"),
        ("msteams", r#"<quoted messageId="1"/><quoted messageId="2"/> 3"#, "3"),
        ("msteams", r#"<quoted messageId="1"/> 3 <quoted messageId="2"/> or 4"#, "3  or 4"),
        ("msteams:COPILOT", "<blockquote>4</blockquote><p>3</p>", "3"),
        ("msteams", "<blockquote>4<blockquote>5</blockquote>6</blockquote>\r\n3", "3"),
        ("msteams", "<blockquote>4\r\n3", "4\r\n3"),
        ("msteams", "3 </blockquote>", "3 </blockquote>"),
        ("skype", r#"<quote author="a" timestamp="1">9<legacyquote>1</legacyquote></quote>3"#, "3"),
        ("emulator", r#"<quoted messageId="1"/> 3"#, "3"),
        // What a user may have written.
        ("directline", "<blockquote>4</blockquote> 3", "<blockquote>4</blockquote> 3"),
        ("directline", "<quote>4</quote> 3", "<quote>4</quote> 3"),
        ("msteams", "text <data> a < 3", "text <data> a < 3"),
    ] {
        assert_eq!(spoken(channel, text), said, "{channel}: {text}");
        assert_eq!(heard(channel, text), said, "{channel}: {text}");
    }
    let quoted = format!("{reply}\r\n<strong>Bot</strong><p itemprop=\"preview\">9?</p>\r\n</blockquote>\r\n<p>3</p>");
    assert_eq!(spoken("other", &quoted), "3");
    let quoted = format!("{reply}9?</blockquote><p><at>Q&amp;A Bot</at>&nbsp;help</p>");
    assert_eq!(mentioned(&quoted, &[mention(None, "Q&A Bot")]), "help");
}

#[test]
fn a_channel_that_escapes_is_understood_and_what_a_user_wrote_stays() {
    for (channel, text, said, heard_as) in [
        ("slack", "Over &gt; 2", "Over > 2", "Over > 2"),
        ("slack", "R&amp;D", "R&D", "R&D"),
        ("slack", "&amp;gt;", "&gt;", "&gt;"),
        ("slack", "a &lt;b&gt; & c; &nosuch; &#xZ; &", "a <b> & c; &nosuch; &#xZ; &", "a <b> & c; &nosuch; &#xZ; &"),
        ("directline", "Over &gt; 2", "Over &gt; 2", "Over > 2"),
        ("msteams", "it&#39;s &#62;&#x3E;", "it&#39;s &#62;&#x3E;", "it's >>"),
        ("directline", "&#0; &#1114112; &#-1;", "&#0; &#1114112; &#-1;", "&#0; &#1114112; &#-1;"),
    ] {
        assert_eq!((spoken(channel, text), heard(channel, text)), (said.into(), heard_as.into()), "{channel}: {text}");
    }
}

#[test]
fn signature_and_quoted_text_of_a_mail_are_not_said() {
    for text in [
        "2\r\n\r\n-- \r\nSales\r\nTel. 555 0100",
        "2\n--\nSales 4",
        "2\n\n—\nSales 4",
        "2\n\nSent from my iPhone",
        "2\n\nSent from Outlook for iOS",
        "2\n\nGet Outlook for Android<https://aka.ms/4>",
        "2\n\nVon meinem iPhone 4 gesendet",
        "2\n\nGesendet von Outlook für Android",
        "2\n\nEnvoyé de mon iPhone 4",
        "2\n\nEnviado desde mi iPhone 4",
        "2\n> Which of 4?",
        "> Which of 4?\n\n2",
        "2\n\nOn Mon, 4 May 2026 at 10:00, Bot <bot@example.com> wrote:\n> Which of 4?",
        "2\n\nOn Mon, 4 May 2026 at 10:00, The Bot With a Long Name\n<bot@example.com> wrote:\n\n> 4?",
        "2\n\nOn Monday Bot wrote:\n\n> Which of 4?",
        "On Mon, 4 May 2026, Bot wrote:\n> Which of 4?\n\n2",
        "2\n\nAm 04.05.2026 um 10:00 schrieb Bot <bot@example.com>:\n> 4?",
        "2\n\nBot <bot@example.com> schrieb am Mo., 4. Mai 2026, 10:00:\n\n4?",
        "2\n\nLe lun. 4 mai 2026 à 10:00, Bot <bot@example.com> a écrit\u{a0}:\n\n> 4?",
        "2\n\nEl lun, 4 may 2026 a las 10:00, Bot (<bot@example.com>) escribió:\n\n> 4?",
        "2\n\n2026-05-04 10:00 GMT+02:00 Bot <bot@example.com>:\n\n4?",
        "2\n\nFrom: Bot <bot@example.com>\nSent: Monday, May 4\nTo: Ann\nSubject: Re: 4?\n\n4?",
        "2\n\n________________________________\nFrom: Bot\nSent: May 4\n\n4?",
        "2\r\n\r\nVon: Bot\r\nGesendet: Montag, 4. Mai\r\nAn: Ann\r\nBetreff: 4?\r\n\r\n4?",
        "2\n\nDe : Bot\nEnvoyé : lundi 4 mai\nÀ : Ann\nObjet : 4 ?\n\n4 ?",
        "2\n\nDe: Bot\nEnviado el: lunes, 4 de mayo\nPara: Ann\nAsunto: 4\n\n4",
        "2\n\n-----Original Message-----\n4?",
        "2\n\n-----Ursprüngliche Nachricht-----\n4?",
    ] {
        assert_eq!(spoken("email", text), "2", "{text}");
        assert_eq!(heard("emulator", text), "2", "{text}");
        // Where people write texts of many lines, what they say is kept.
        assert_eq!(spoken("emulator", text), text.trim(), "{text}");
    }
}

#[test]
fn what_only_looks_like_a_signature_or_a_quote_is_said() {
    for text in [
        "-- \r\nSales",
        "> 2",
        "> 2\n> 3",
        "Sent from my iPhone",
        "Sent from my iPhone\n",
        "On 4 May Ann wrote:",
        "From: Ann\nSent: 4 May\nTo: Bot\nSubject: 2",
        "two\nFrom: here to there",
        "Is this right:\n2",
        "2--3",
        "\n\n",
        "a\n-\nb",
    ] {
        assert_eq!(spoken("email", text), text.trim(), "{text}");
    }
    // A delimiter that nothing stands above ends nothing.
    for (text, said) in [("-- \r\nhelp", "help"), ("--\n2\n-- \nSales", "2"), ("> 2\n-- \nSales", "> 2"), ("--", "--")]
    {
        assert_eq!(heard("email", text), said, "{text}");
    }
    let many = "2\n".repeat(LINES_MANY) + "-- \nSales";
    assert_eq!(spoken("email", &many), many);
}

const LINES_MANY: usize = 100_000;

#[test]
fn invisible_characters_are_not_heard() {
    for mark in ["\u{200e}", "\u{200f}", "\u{202a}", "\u{202b}", "\u{202c}", "\u{202d}", "\u{202e}", "\u{2066}"]
        .into_iter()
        .chain(["\u{2067}", "\u{2068}", "\u{2069}", "\u{feff}", "\u{200b}", "\u{2060}", "\u{61c}", "\u{ad}", "\u{a0}"])
    {
        for text in [format!("{mark}help{mark}"), format!(" {mark} help {mark}{mark}\n")] {
            assert_eq!(
                (spoken("emulator", &text), heard("emulator", &text)),
                ("help".into(), "help".into()),
                "{mark:?}"
            );
        }
    }
    assert_eq!(heard("emulator", "\u{2067}he\u{200b}lp\u{2069}\u{a0}me"), "help me");
    assert_eq!(spoken("emulator", "\u{200f}a\u{200f}b"), "a\u{200f}b", "within a text they may be meant");
    let family = "👨\u{200d}👩\u{200d}👧";
    assert_eq!(heard("emulator", family), family);
    assert_eq!(mentioned("\u{200f}<at>Q&A Bot</at>\u{200f} help", &[mention(None, "Q&A Bot")]), "help");
}
