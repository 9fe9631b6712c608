//! Phrases that mail programs write around an answer, in the most common languages of e-mail.

use std::sync::LazyLock;

use regex::Regex;

/// Patterns that match complete lines in the form of [`super::Line::seen`].
pub(super) struct Rules {
    /// «On 1 May, Ann wrote:»
    pub(super) introduction: Regex,
    /// «-----Original Message-----» and «Begin forwarded message:»
    pub(super) divider: Regex,
    /// «Sent from my iPhone»
    pub(super) device: Regex,
    /// «Kind regards»
    pub(super) closing: Regex,
    /// «From: Ann», a field of a quoted header.
    pub(super) from: Regex,
    /// The other fields: «Sent», «To», «Subject».
    pub(super) header: Regex,
    /// All fields in one line. Programs that remove markup write the header like this.
    pub(super) headers_in_a_line: Regex,
}

pub(super) static RULES: LazyLock<Option<Rules>> = LazyLock::new(|| {
    let whole = |pattern: &str| Regex::new(&format!("(?i)^(?:{pattern})$")).ok();
    let named = |names: &[&str]| format!(r"\*{{0,2}}(?:{})\*{{0,2}}\s*[:：]", names.join("|"));
    let (from, sent, about) = (named(FROM), named(SENT), named(ABOUT));
    let dashed = format!(r"[-—_=]{{2,}}\s*(?:{})\s*[:：]?\s*[-—_=]{{2,}}", DASHED.join("|"));
    Some(Rules {
        introduction: whole(&INTRODUCTIONS.join("|"))?,
        divider: whole(&format!("{dashed}|(?:{})[:：]", FORWARDED.join("|")))?,
        device: whole(&DEVICES.join("|").replace("{device}", DEVICE))?,
        closing: whole(&format!(r"(?:{})\s*[,.!،，、]*", CLOSINGS.join("|")))?,
        from: whole(&format!("{from}.*"))?,
        header: whole(&format!("(?:{sent}|{about}).*"))?,
        headers_in_a_line: whole(&format!(r"{from}.+\s{sent}.+\s{about}.*"))?,
    })
});

const INTRODUCTIONS: &[&str] = &[
    // Any language: a date and an address.
    r".*\d{4}.*<\S+@\S+>\s*[:：]",
    // English
    r"(?:on|at)\b.+\b(?:wrote|writes)\s*:|.+\bwrote on\b.+:|.+<\S+@\S+>\s+(?:wrote|writes)\s*:",
    // German
    r"am\b.+\bschrieb\b.*:|.+\bschrieb am\b.+:",
    // French
    r"le\b.+\ba écrit\s*:|.+<\S+@\S+>\s+a écrit\s*:",
    // Spanish, Catalan, Portuguese, Italian, Romanian
    r"el\b.+\bescribió\s*:|.+<\S+@\S+>\)?\s+escribió\s*:|el\b.+\bva escriure\s*:",
    r"(?:em|a|no dia)\b.+\bescreveu\s*:|.+\bescreveu\s*\(.+\)\s*:",
    r"(?:il|in data)\b.+\bha scritto\s*:|.+<\S+@\S+>\s+ha scritto\s*:",
    r"(?:în|pe|la)\b.+\ba scris\s*:",
    // Dutch, Swedish, Norwegian, Danish, Finnish
    r"op\b.+\bschreef\b.*:|.+\bschreef op\b.+:",
    r".*\d.*\bskrev\b.*:|.+\bskrev\s*:",
    r".+\bkirjoitti\b.*:",
    // Polish, Czech, Slovak, Hungarian
    r".+\b(?:napisał(?:a|o|\(a\))?|pisze)\s*:|wiadomość napisana przez\b.+:",
    r".+\b(?:napsala?|napsal\(a\)|napísala?|napísal\(a\))\s*:",
    r".+\bezt írta\b.*:|.+\bírta\s*:",
    // Russian, Ukrainian, Bulgarian, Greek, Turkish
    r".+\b(?:написал(?:а|\(а\)|и)?|написав|написала|написа|пишет|пише)\s*:",
    r".+\bέγραψε\b.*:",
    r".+\b(?:şunu|şunları|tarihinde) yazdı\s*:|.+\byazdı\s*:",
    // Arabic, Hebrew, Hindi, Thai, Vietnamese, Indonesian
    r".*\bكتب(?:ت)?\b.*:",
    r"(?:בתאריך|ב-).*:|.+\bכתב(?:ה|/ה)?\s*:",
    r".+\bने लिखा\s*:",
    r".+เขียน(?:ว่า)?\s*:",
    r".+\bđã viết\s*:",
    r".+\bmenulis\s*:",
    // Japanese, Chinese, Korean
    r".+(?:のメール|書きました。?|書き込みました|wrote)\s*[:：]",
    r".+(?:写道|寫道|写信说)\s*[:：]",
    r".+(?:작성|씀|썼습니다|보냄)\s*[:：]",
];

/// Phrases between dashes or between other rules.
const DASHED: &[&str] = &[
    "original message|forwarded message|forwarded by .+|original appointment",
    "ursprüngliche nachricht|original-?nachricht|weitergeleitete nachricht",
    "message d['’]origine|message original|message transféré|message réexpédié",
    "mensaje original|mensaje reenviado|missatge original|missatge reenviat",
    "mensagem original|mensagem encaminhada|mensagem reencaminhada",
    "messaggio originale|messaggio inoltrato|mesaj original|mesajul original|mesaj redirecționat",
    "oorspronkelijk bericht|origineel bericht|doorgestuurd bericht",
    "ursprungligt meddelande|originalmeddelande|vidarebefordrat meddelande|vidarebefordrat mail",
    "oprindelig meddelelse|videresendt meddelelse|opprinnelig melding|videresendt melding",
    "alkuperäinen viesti|edelleenlähetetty viesti|välitetty viesti",
    "wiadomość oryginalna|oryginalna wiadomość|przekazana wiadomość|wiadomość przekazana",
    "původní zpráva|přeposlaná zpráva|pôvodná správa|preposlaná správa",
    "eredeti üzenet|továbbított üzenet",
    "исходное сообщение|оригинальное сообщение|пересылаемое сообщение|пересланное сообщение",
    "вихідне повідомлення|оригінальне повідомлення|переслане повідомлення|оригинално писмо",
    "αρχικό μήνυμα|προωθημένο μήνυμα",
    "orijinal mesaj|orijinal ileti|özgün ileti|yönlendirilmiş ileti|iletilen mesaj",
    "الرسالة الأصلية|رسالة معاد توجيهها|הודעה מקורית|הודעה שהועברה",
    "thư gốc|tin nhắn gốc|thư được chuyển tiếp|pesan asli|pesan terusan",
    "元のメッセージ|転送メッセージ|転送されたメッセージ|原始邮件|邮件原件|原始郵件|转发的邮件|轉寄的郵件|转发邮件信息",
    "원본 메시지|원본 메일|전달된 메시지",
];

/// Phrases before a forwarded message, with a colon after them.
const FORWARDED: &[&str] = &[
    "begin forwarded message|(?:anfang|beginn) der weitergeleiteten (?:nachricht|e-mail)",
    r"début du (?:message|courriel) (?:réexpédié|transféré)\s*|inicio del mensaje reenviado",
    "início da mensagem (?:encaminhada|reencaminhada)|inizio(?: del)? messaggio inoltrato",
    "begin doorgestuurd bericht|vidarebefordrat brev|(?:start på )?videresendt (?:meddelelse|besked|melding|e-post)",
    "välitetty viesti alkaa|początek przekazywanej wiadomości|začátek přeposílané zprávy|továbbított levél kezdete",
    "начало переадресованного сообщения|начало пересылаемого сообщения|початок листа, що пересилається",
    "αρχή προωθημένου μηνύματος|iletilen mesajın başlangıcı|yönlendirilen iletinin başlangıcı",
    "بدء الرسالة المُعاد توجيهها|בתחילת ההודעה שהועברה|転送されたメッセージ|下面是被转发的邮件|開始轉寄郵件|전달된 메시지",
];

/// Phrases with the name of a device or app. `{device}` is replaced by [`DEVICE`].
const DEVICES: &[&str] = &[
    r"sent (?:from|via|with|using) (?:my |mail |outlook|yahoo|proton|gmail|samsung|an? |the ).*|get outlook for .+",
    r"von mein(?:em|er) .+ gesendet\.?|gesendet (?:von|mit|über) .+|(?:holen sie sich )?outlook für .+",
    r"envoyé (?:de|depuis|à partir de) .+|(?:obtenir|obtenez|télécharger) outlook pour .+",
    r"enviado (?:desde|de) .+|(?:obtener|obtén|descargar) outlook para .+",
    r"enviad[oa] (?:do|da|via|a partir d[eo]) {device}|(?:obter|baixar|obtenha) o outlook para .+",
    r"inviato (?:da|dal|con|tramite) {device}|(?:scarica|ottieni) outlook per .+|trimis (?:de pe|din) {device}",
    r"(?:verstuurd|verzonden) (?:vanaf|vanuit|met|via) {device}|(?:download|haal)? ?outlook voor .+",
    r"(?:skickat från|sendt fra|lähetetty) {device}|(?:hämta|hent|skaff) outlook (?:för|til|for) .+",
    r"(?:wysłane|wysłano) (?:z|przy użyciu) {device}|odesláno (?:z|ze) {device}|odoslané (?:z|zo) {device}",
    r"{device} küldve|отправлено (?:с|из) {device}|надіслано (?:з|із) {device}|изпратено от {device}",
    r"στάλθηκε από {device}|{device} gönderildi|{device} için outlook['’]u edinin",
    r"(?:أُرسلت|أرسلت|تم الإرسال|مرسل) من {device}|נשלח מ{device}",
    r"(?:đã )?gửi từ {device}|dikirim dari {device}|ส่งจาก{device}",
    r"{device}から送信(?:されました)?|(?:发自|發自|從|来自){device}|{device}에서 (?:보냄|전송|전송함|보낸 메일입니다)\.?",
];

const DEVICE: &str = ".*(?:phone|ipad|android|galaxy|samsung|huawei|xiaomi|outlook|yahoo|gmail|proton|mail|mobil|telefon|puhelim\
    |smartphone|tablet|スマートフォン|携帯|手机|手機|邮箱|아이폰|갤럭시|телефон|смартфон|κινητό|téléphone|هاتف|điện thoại).*";

/// Phrases at the end of a letter, which only a name and an address follow. «Thanks» is not in the list, because more of
/// the answer may follow it.
const CLOSINGS: &[&str] = &[
    "(?:with )?(?:best|kind|kindest|warm|warmest|many) (?:regards|wishes|greetings)|regards|yours (?:sincerely|faithfully|truly)|sincerely(?: yours)?",
    "(?:mit )?(?:freundliche[nm]?|beste[nm]?|viele[nm]?|liebe[nm]?|herzliche[nm]?|schöne[nm]?) (?:grüße[n]?|grüsse[n]?|gruß|gruss)|mfg|hochachtungsvoll",
    "(?:bien )?cordialement|bien à vous|(?:meilleures |sincères )?salutations|sincèrement",
    "(?:un )?(?:cordial )?saludos?|saludos (?:cordiales|atentos)|atentamente|un cordial saludo|salutacions",
    "atenciosamente|com os melhores cumprimentos|(?:melhores )?cumprimentos|cordialmente",
    "(?:cordiali|distinti) saluti|cordialmente|un cordiale saluto|cu stimă",
    "(?:met )?(?:vriendelijke|hartelijke) groet(?:en)?|mvg|hoogachtend",
    "(?:med )?(?:vänliga?|vennlig|venlig|bästa|beste|bedste) (?:hälsning(?:ar)?|hilsen|hilsener)|mvh|ystävällisin terveisin|terveisin",
    "(?:z poważaniem|pozdrawiam|serdecznie pozdrawiam)|s pozdravem|s pozdravom|üdvözlettel",
    "с уважением|с наилучшими пожеланиями|з повагою|с уважение|με εκτίμηση|saygılarımla|saygılarımızla|iyi çalışmalar",
    "مع أطيب التحيات|مع التحية|בברכה|敬具|よろしくお願いいたします。?|此致|顺颂商祺|감사합니다|trân trọng|hormat saya",
];

const FROM: &[&str] = &[
    "from|von|de|expéditeur|remitente|da|mittente|van|afzender|od|nadawca|från|fra|lähettäjä|feladó|de la|expeditor",
    "от|отправитель|від|από|kimden|gönderen|من|מאת|từ|dari|จาก|差出人|送信者|发件人|寄件者|寄件人|보낸 사람|보낸사람",
];

const SENT: &[&str] = &[
    "sent|date|gesendet(?: am)?|datum|envoyé(?: le)?|enviado(?: el)?|fecha|enviad[ao](?: em)?|data|inviato(?: il)?",
    "verzonden|skickat|sendt|dato|lähetetty|päivämäärä|päiväys|wysłano|wysłane|odesláno|odoslané|dátum|elküldve|küldve",
    "trimis(?: la)?|отправлено|дата|надіслано|изпратено|στάλθηκε|ημερομηνία|gönderildi|gönderme tarihi|tarih",
    "التاريخ|تاريخ الإرسال|تم الإرسال|נשלח|תאריך|đã gửi|ngày|tanggal|dikirim|วันที่|ส่ง",
    "送信日時|日付|日時|发送时间|发送日期|日期|时间|寄件日期|時間|傳送時間|보낸 날짜|날짜|보낸날짜",
];

const ABOUT: &[&str] = &[
    "to|cc|subject|an|betreff|à|objet|para|asunto|assunto|a|per|oggetto|aan|onderwerp|till|ämne|til|emne",
    "vastaanottaja|aihe|do|temat|komu|předmět|predmet|címzett|tárgy|către|subiect|кому|тема|копия|до|относно",
    "προς|θέμα|kime|alıcı|konu|إلى|الموضوع|אל|נושא|đến|tới|chủ đề|kepada|perihal|subjek|ถึง|เรื่อง",
    "宛先|件名|收件人|主题|主題|收件者|主旨|抄送|副本|받는 사람|받는사람|제목|참조",
];
