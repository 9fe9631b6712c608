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

/// Returns the spoken text of a message with these mentions of the bot.
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
        // The entity has no text.
        ("<at>Q&A Bot</at> help", mention(None, "Q&A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(None, "Q&A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(None, "Q&amp;A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(Some(""), "Q&A Bot"), "help"),
        ("<at>Q&amp;A Bot</at> help", mention(None, ""), "help"),
        ("@Q&A Bot help", mention(None, "Q&A Bot"), "help"),
        ("@Botany help", mention(None, "Bot"), "@Botany help"),
        // Only one of text and entity is escaped.
        ("<at>Q&amp;A Bot</at> help", mention(Some("<at>Q&A Bot</at>"), "Q&A Bot"), "help"),
        ("<at>Q&A Bot</at> help", mention(Some("<at>Q&amp;A Bot</at>"), "Q&A Bot"), "help"),
        ("&lt;at&gt;Q&amp;A Bot&lt;/at&gt; help", mention(Some("<at>Q&A Bot</at>"), "Q&A Bot"), "help"),
        ("<at>Q&A&nbsp;\u{a0} Bot</at> help", mention(Some("<at>Q&A Bot</at>"), "Q&A Bot"), "help"),
        ("<at>O&#39;Bot</at> help", mention(None, "O'Bot"), "help"),
        // Escaped twice, and as numeric references.
        ("<at>Q&amp;amp;A Bot</at> help", mention(None, "Q&A Bot"), "help"),
        ("<at>Q&amp;amp;amp;A Bot</at> help", mention(Some("<at>Q&amp;A Bot</at>"), "Q&A Bot"), "help"),
        ("<at>Q&A Bot</at> help", mention(Some("<at>Q&amp;amp;A Bot</at>"), "Q&amp;amp;A Bot"), "help"),
        ("&amp;lt;at&amp;gt;Q&amp;amp;A Bot&amp;lt;/at&amp;gt; help", mention(None, "Q&A Bot"), "help"),
        ("&lt;at id=&quot;0&quot;&gt;Q&amp;A Bot&lt;/at&gt; help", mention(None, "Q&A Bot"), "help"),
        ("<at>&amp;lt;&#x3C;Bot&#062;&quot;</at> help", mention(None, "<<Bot>\""), "help"),
        ("<at>Q&amp;A&amp;nbsp;Bot</at>&#xa0;help", mention(None, "Q&A Bot"), "help"),
        ("@Q&amp;amp;A Bot help", mention(None, "Q&A Bot"), "help"),
        // In different Unicode normalization forms.
        ("<at>Zoe\u{308}</at> help", mention(None, "Zo\u{eb}"), "help"),
        ("<at>Zo\u{eb}</at> help", mention(None, "Zoe\u{308}"), "help"),
        ("<at>ZOE\u{308}</at> help", mention(Some("<at>zo\u{eb}</at>"), ""), "help"),
        ("@Zoe\u{308} help", mention(Some("@Zo\u{eb}"), ""), "help"),
        ("<at>\u{1112}\u{1161}\u{11ab}</at> help", mention(None, "\u{d55c}"), "help"),
        ("<at>a\u{323}\u{302}</at> help", mention(None, "\u{e2}\u{323}"), "help"),
        // With invisible characters.
        ("<at>\u{200f}Bot\u{200e}</at> help", mention(tag, "Bot"), "help"),
        ("<at>Q&A\u{3164}Bot</at>\u{2800}help", mention(None, "Q&A Bot"), "help"),
        // A name may contain characters with a meaning in regular expressions.
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
fn what_is_beside_a_mention_stays_as_it_is_composed() {
    for (text, entity, said) in [
        ("e\u{301} @Zoe\u{308} e\u{301}", "@Zo\u{eb}", "e\u{301} e\u{301}"),
        ("@Zoe\u{308} help", "@Zoe", "@Zoe\u{308} help"),
        ("e\u{301}\u{1112}\u{1161}@Bot\u{1112}\u{1161}", "@bot", "e\u{301}\u{1112}\u{1161} \u{1112}\u{1161}"),
    ] {
        let mut message = on("msteams", text);
        message.insert("entities".into(), json!([mention(Some(entity), "")]));
        assert_eq!(activity(&message).spoken_text(), said, "{text}");
    }
}

#[test]
fn mentions_of_others_are_said() {
    let ann = json!({ "type": "mention", "mentioned": { "id": "29:a", "name": "Ann" }, "text": "<at>Ann</at>" });
    let bot = mention(Some("<at>Bot</at>"), "Bot");
    assert_eq!(mentioned("<at>Bot</at> ask <at>Ann</at>", &[ann, bot]), "ask <at>Ann</at>");
    // Teams sends one mention per word of a name.
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
        ("msteams", "<quote>9</quote>3", "3"),
        // A user may have typed these.
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
fn marks_for_files_pictures_and_notes_are_not_said() {
    let smile = r#"<img alt="😄" src="https://a/1" itemtype="http://schema.skype.com/Emoji" width="20">"#;
    for (channel, text, said) in [
        ("msteams", r#"<attachment id="74d20c7f34aa4a7fb74e2b30004247c5"></attachment> 3"#, "3"),
        ("msteams", r#"3 <attachment id="74d20c7f34aa4a7fb74e2b30004247c5"></attachment>"#, "3"),
        ("msteams", r#"<attachment id='1'/>3"#, "3"),
        ("msteams", r#"<ATTACHMENT ID="1">file 4.pdf</ATTACHMENT>3"#, "3"),
        ("msteams", r#"&lt;attachment id=&quot;1&quot;&gt;&lt;/attachment&gt; 3"#, "3"),
        ("msteams", r#"<attachment id="1"></attachment><attachment id="2"></attachment>&nbsp;3"#, "3"),
        ("emulator", r#"<attachment id="1"></attachment> 3"#, "3"),
        ("msteams", "<systemEventMessage/>3", "3"),
        ("msteams", "<systemEventMessage></systemEventMessage> 3", "3"),
        ("msteams", r#"3 <emoji id="1f604_x4" alt="😄" title="Smile 4"></emoji>"#, "3 😄"),
        ("msteams", r#"<customemoji id="4" alt=":party:" source="https://a/4"></customemoji>3"#, ":party:3"),
        ("msteams", r#"<emoji id="4">🙂</emoji>3"#, "🙂3"),
        ("msteams", &format!("{smile} 3"), "😄 3"),
        ("skype", &format!("{smile} 3"), "😄 3"),
        ("skype", r#"<ss type="smile">:)</ss> 3"#, ":) 3"),
        ("msteams", r#"<img src="https://a/4.png?a=1&amp;b=2" width="250" alt="a > b"> 3"#, "3"),
        ("msteams", "&nbsp;3&nbsp;", "3"),
        ("msteams", "&#160;3&#xA0;", "3"),
        ("msteams", r#"<quoted messageId="4"/><attachment id="5"></attachment> 3"#, "3"),
        // A user may have typed these.
        ("msteams", "<attachment> 3", "<attachment> 3"),
        ("msteams", "what does <img> do", "what does <img> do"),
        ("directline", r#"<img src="a"> 3"#, r#"<img src="a"> 3"#),
        ("directline", "<emoji> 3", "<emoji> 3"),
        ("directline", "<ss>3</ss>", "<ss>3</ss>"),
    ] {
        assert_eq!(spoken(channel, text), said, "{channel}: {text}");
        assert_eq!(heard(channel, text), said, "{channel}: {text}");
    }
    let bot = mention(Some("<at>Bot</at>"), "Bot");
    assert_eq!(mentioned(r#"<attachment id="1"></attachment><at>Bot</at>&nbsp;3"#, &[bot]), "3");
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
        "2\n\n-----Messaggio originale-----\n4?",
        "2\n\n----- Oorspronkelijk bericht -----\n4?",
        "2\n\n-------- Пересылаемое сообщение --------\n4?",
        "2\n\n------------------ 原始邮件 ------------------\n4?",
        "2\n\nBegin forwarded message:\n\nFrom: Bot\nSubject: 4?",
        "2\n\nAnfang der weitergeleiteten Nachricht:\n\n4?",
        "2\n\nInizio messaggio inoltrato:\n\n4?",
        "2\n\nDébut du message réexpédié :\n\n4?",
        "2\n\nIl giorno lun 4 mag 2026 alle ore 10:00 Bot <bot@example.com> ha scritto:\n\n> 4?",
        "2\n\nIl 04/05/2026 10:00, Bot ha scritto:\n4?",
        "2\n\nEm seg., 4 de mai. de 2026 às 10:00, Bot <bot@example.com> escreveu:\n\n4?",
        "2\n\nBot <bot@example.com> escreveu (segunda, 4/05/2026 à(s) 10:00):\n\n4?",
        "2\n\nOp ma 4 mei 2026 om 10:00 schreef Bot <bot@example.com>:\n\n4?",
        "2\n\nDen mån 4 maj 2026 kl 10:00 skrev Bot <bot@example.com>:\n\n4?",
        "2\n\nman. 4. mai 2026 kl. 10:00 skrev Bot <bot@example.com>:\n\n4?",
        "2\n\nma 4. toukok. 2026 klo 10.00 Bot (bot@example.com) kirjoitti:\n\n4?",
        "2\n\npon., 4 maj 2026 o 10:00 Bot <bot@example.com> napisał(a):\n\n4?",
        "2\n\npo 4. 5. 2026 v 10:00 odesílatel Bot <bot@example.com> napsal:\n\n4?",
        "2\n\nBot <bot@example.com> ezt írta (időpont: 2026. máj. 4., H, 10:00):\n\n4?",
        "2\n\nÎn lun., 4 mai 2026 la 10:00, Bot <bot@example.com> a scris:\n\n4?",
        "2\n\nBot <bot@example.com>, 4 May 2026 Pzt, 10:00 tarihinde şunu yazdı:\n\n4?",
        "2\n\nпн, 4 мая 2026 г. в 10:00, Bot <bot@example.com>:\n\n4?",
        "2\n\n4 мая 2026 г., в 10:00, Bot написал(а):\n\n4?",
        "2\n\nпн, 4 трав. 2026 р. о 10:00 Bot <bot@example.com> пише:\n\n4?",
        "2\n\nΣτις Δευ 4 Μαΐ 2026 στις 10:00 π.μ., ο χρήστης Bot <bot@example.com> έγραψε:\n\n4?",
        "2\n\n2026年5月4日(月) 10:00 Bot <bot@example.com>:\n\n4?",
        "2\n\n2026/05/04 10:00、Botのメール：\n\n4?",
        "2\n\nBot 于2026年5月4日周一 10:00写道：\n\n4?",
        "2\n\n2026년 5월 4일 (월) 오전 10:00, Bot 님이 작성:\n\n4?",
        "2\n\nVào Th 2, 4 thg 5, 2026 vào lúc 10:00 Bot <bot@example.com> đã viết:\n\n4?",
        "2\n\nPada tanggal Sen, 4 Mei 2026 pukul 10.00 Bot <bot@example.com> menulis:\n\n4?",
        "2\n\n\u{202b}בתאריך יום ב׳, 4 במאי 2026 ב-10:00 מאת \u{202a}Bot\u{202c}\u{200f} <\u{202a}bot@example.com\u{202c}\u{200f}>:\u{202c}\n\n4?",
        "2\n\nفي الاثنين، ٤ مايو ٢٠٢٦ في ١٠:٠٠ ص كتب Bot:\n\n4?",
        "2\n\nDa: Bot\nInviato: lunedì 4 maggio\nA: Ann\nOggetto: 4\n\n4",
        "2\n\nDe: Bot\nEnviada em: segunda-feira, 4 de maio\nPara: Ann\nAssunto: 4\n\n4",
        "2\n\nVan: Bot\nVerzonden: maandag 4 mei\nAan: Ann\nOnderwerp: 4\n\n4",
        "2\n\nОт: Bot\nОтправлено: 4 мая\nКому: Ann\nТема: 4\n\n4",
        "2\n\n差出人: Bot\n送信日時: 2026年5月4日\n宛先: Ann\n件名: 4\n\n4",
        "2\n\n发件人: Bot\n发送时间: 2026年5月4日\n收件人: Ann\n主题: 4\n\n4",
        "2\n\n*From:* Bot <bot@example.com>\n*Sent:* May 4\n*To:* Ann\n*Subject:* 4\n\n4",
        "2\n\nFrom: Bot\n\nSent: May 4\n\nTo: Ann\n\nSubject: 4\n\n4",
        "2\n\nSubject: 4\nDate: May 4\nFrom: Bot\nTo: Ann\n\n4",
        "2\n\nFrom: Bot <bot@example.com> Sent: Monday, May 4 To: Ann Subject: Re: 4?\n4",
        "2\n\nInviato da iPhone",
        "2\n\nEnviado do meu iPhone",
        "2\n\nVerstuurd vanaf mijn iPhone",
        "2\n\nSkickat från min iPhone",
        "2\n\nWysłane z iPhone'a",
        "2\n\nОтправлено с iPhone",
        "2\n\niPhoneから送信",
        "2\n\n发自我的 iPhone",
        "2\n\n나의 iPhone에서 보냄",
        "2\n\n\u{200f}נשלח מה-iPhone שלי",
        "2\n\nBest regards,\nSales\nTel. 555 0100",
        "2\n\nMit freundlichen Grüßen\n\nVertrieb 4",
        "2\n\nCordiali saluti\nVendite 4",
        "2\r\r-- \rSales\rTel. 555 0100",
        "2\u{2028}\u{2028}-- \u{2028}Sales 4",
        "2\u{2029}--\u{2029}Sales 4",
        "2\u{85}--\u{85}Sales 4",
        "2\u{b}--\u{b}Sales 4",
        "2\r\u{200b}\r> Which of 4?",
        "2\n\u{2800}\n–\nSales 4",
    ] {
        assert_eq!(spoken("email", text), "2", "{text}");
        assert_eq!(heard("emulator", text), "2", "{text}");
        // On a channel for texts of many lines, nothing is removed.
        assert_eq!(spoken("emulator", text), text.trim(), "{text}");
    }
}

#[test]
fn a_mail_may_be_html() {
    for (text, said) in [
        ("2<br><br>-- <br>Sales<br>Tel. 555 0100", "2"),
        ("2<br/>\r\n<br/>\r\n-- <br/>\r\nSales 4", "2"),
        ("<div>2</div><div><br></div><div>-- </div><div>Sales 4</div>", "2"),
        ("<p>2</p><p>Sent from my iPhone</p>", "2"),
        ("<html><head><style>p { margin: 4 }</style></head><body><p>2&nbsp;</p></body></html>", "2"),
        ("2<br><br>On Mon, 4 May 2026 at 10:00, Bot &lt;bot@example.com&gt; wrote:<br>4?", "2"),
        ("<div dir=\"ltr\">2</div><br><blockquote class=\"gmail_quote\">Which of 4?<br>5?</blockquote>", "2"),
        ("<blockquote>Which of 4?</blockquote><p>2</p>", "2"),
        ("2<div><b>From:</b> Bot<br><b>Sent:</b> May 4<br><b>To:</b> Ann<br><b>Subject:</b> 4</div>", "2"),
        ("<!-- 4 --><p>a &lt;b&gt; &amp;amp; <i>c</i></p>", "a <b> &amp; c"),
        ("one<br>two", "one\ntwo"),
        ("<p>one</p>\n<p>two</p>", "one\ntwo"),
        ("> 2<br>", "> 2"),
        ("a <b and c> d", "a <b and c> d"),
    ] {
        assert_eq!(spoken("email", text), said, "{text}");
        if text.contains("<br") {
            assert_eq!(spoken("directline", text), text, "elsewhere a user wrote it");
        }
    }
    for (channel, text, said) in [
        ("email", "-- <br>help", "help"),
        ("email", "<p>Over &gt; 2</p>", "Over > 2"),
        ("msteams", "<p>help</p>", "help"),
        ("msteams", "<div><div>help</div></div>", "help"),
        ("directline", "what is <br>", "what is <br>"),
    ] {
        assert_eq!(heard(channel, text), said, "{text}");
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
        "2\nBegin forwarded message",
        "2\nVon: hier\nbis dort",
        "Best regards,\nAnn",
        "Il giorno 4 maggio Bot ha scritto:",
        "2\nPaket dün gönderildi",
        "2\nОтправлено из Москвы",
        "-- \rSales",
        "--\u{2028}Sales",
        "-- ",
    ] {
        assert_eq!(spoken("email", text), text.trim(), "{text}");
    }
    // A delimiter with no text above it does not end the text.
    for (text, said) in [
        ("-- \r\nhelp", "help"),
        ("--\n2\n-- \nSales", "2"),
        ("> 2\n-- \nSales", "> 2"),
        ("--", "--"),
        ("-- \rhelp", "help"),
        ("\u{200f}-- \u{2028}help", "help"),
        ("________________________________\nhelp", "help"),
        ("\r\n-- \r\n\r\nhelp", "help"),
        ("-- \n\u{200b}\n", "--"),
        ("—\r\n—", "—"),
    ] {
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
    for blank in
        ["\u{2800}", "\u{3164}", "\u{115f}", "\u{1160}", "\u{ffa0}", "\u{200c}", "\u{200d}", "\u{34f}", "\u{17b4}"]
            .into_iter()
            .chain([
                "\u{180e}",
                "\u{3000}",
                "\u{2003}",
                "\u{206a}",
                "\u{fff9}",
                "\u{e0001}",
                "\u{1d173}",
                "\u{1bca0}",
                "\0",
                "\u{7f}",
            ])
    {
        let text = format!("{blank} {blank}help{blank}\u{200f}{blank}");
        assert_eq!((spoken("sms", &text), heard("sms", &text)), ("help".into(), "help".into()), "{blank:?}");
        assert_eq!(spoken("sms", &blank.repeat(3)), "", "{blank:?} is nothing");
    }
    assert_eq!(heard("emulator", "help\u{3164}me\u{2800}now"), "help me now");
    assert_eq!(spoken("emulator", "\u{fe0f}\u{e0020}2"), "2", "they change the character before them");
    for emoji in ["❤\u{fe0f}", "1\u{fe0f}\u{20e3}", "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}"] {
        assert_eq!((spoken("sms", emoji), heard("sms", emoji)), (emoji.into(), emoji.into()));
    }
    assert_eq!(heard("emulator", "cafe\u{301}"), "caf\u{e9}", "commands are compared composed");
    assert_eq!(spoken("emulator", "cafe\u{301}"), "cafe\u{301}", "what is kept stays");
    assert_eq!(heard("emulator", "\u{2067}he\u{200b}lp\u{2069}\u{a0}me"), "help me");
    assert_eq!(spoken("emulator", "\u{200f}a\u{200f}b"), "a\u{200f}b", "within a text they may be meant");
    let family = "👨\u{200d}👩\u{200d}👧";
    assert_eq!(heard("emulator", family), family);
    assert_eq!(mentioned("\u{200f}<at>Q&A Bot</at>\u{200f} help", &[mention(None, "Q&A Bot")]), "help");
}
