//! The tags within what a party says.

use super::Problem;

/// A part of what a party says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Tag(Tag<'a>),
}

/// `[NAME=VALUE]`; old files have a colon for the equals sign.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    pub(super) kind: Kind,
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    /// Trimmed. It may span lines.
    pub(super) value: &'a str,
}

/// What a tag is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Typing,
    Delay,
    ConversationUpdate,
    Attachment,
    AttachmentLayout,
    Suggestions,
    InputHint,
    /// A card, with the last part of its content type.
    Card(&'static str),
}

impl Kind {
    /// The kind of a tag, by its name in lower case.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "typing" => Self::Typing,
            "delay" => Self::Delay,
            "conversationupdate" => Self::ConversationUpdate,
            "attachment" => Self::Attachment,
            "attachmentlayout" => Self::AttachmentLayout,
            "suggestions" => Self::Suggestions,
            "inputhint" => Self::InputHint,
            "herocard" | "basiccard" => Self::Card("hero"),
            "thumbnailcard" => Self::Card("thumbnail"),
            "animationcard" => Self::Card("animation"),
            "audiocard" => Self::Card("audio"),
            "videocard" => Self::Card("video"),
            "mediacard" => Self::Card("media"),
            "signincard" => Self::Card("signin"),
            "oauthcard" => Self::Card("oauth"),
            _ => return None,
        })
    }
}

/// Splits a text that begins on this line into text and tags. Brackets around anything else are text.
pub(super) fn pieces<'a>(text: &'a str, line: usize, problems: &mut Vec<Problem>) -> Vec<Piece<'a>> {
    let (mut pieces, mut line) = (Vec::new(), line);
    let (mut rest, mut searched) = (text, 0);
    while let Some(found) = rest.get(searched..).and_then(|rest| rest.find('[')) {
        let (before, tail) = rest.split_at(searched + found);
        let inside = tail.get(1..).unwrap_or_default();
        let Some((head, kind)) = head_of(inside) else {
            searched = before.len() + 1;
            continue;
        };
        line += breaks(before);
        let Some(end) = inside.find(']') else {
            problems.push(Problem::at(line, format!("`[{}` is not closed; end it with `]`", head.trim())));
            return pieces;
        };
        let (whole, after) = tail.split_at(end + 2);
        let value = inside.get(head.len()..end).unwrap_or_default().trim();
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim();
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Tag(Tag { kind, line, value }));
        line += breaks(whole);
        // A tag on a line of its own leaves no empty line.
        let alone = before.is_empty() || before.ends_with('\n');
        rest = match after.strip_prefix('\n') {
            Some(next) if alone => {
                line += 1;
                next
            }
            _ => after,
        };
        searched = 0;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// The name of a tag with the spaces around it, and its kind. A card may have its first property on the line of its name, after
/// a space.
fn head_of(inside: &str) -> Option<(&str, Kind)> {
    let head = inside.split(['=', ':', '\n', ']', '[']).next().unwrap_or_default();
    if let Some(kind) = Kind::named(&head.trim().to_ascii_lowercase()) {
        return Some((head, kind));
    }
    let word = head.split_whitespace().next()?;
    let kind = Kind::named(&word.to_ascii_lowercase()).filter(|kind| matches!(kind, Kind::Card(_)))?;
    let end = head.find(word)? + word.len();
    Some((head.get(..end)?, kind))
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: Kind, line: usize, value: &str) -> Piece<'_> {
        Piece::Tag(Tag { kind, line, value })
    }

    #[test]
    fn text_and_tags_are_told_apart() {
        let cases = [
            ("no tag", vec![Piece::Text("no tag")]),
            ("[1] Lisbon [x=y]", vec![Piece::Text("[1] Lisbon [x=y]")]),
            ("a[Typing]b", vec![Piece::Text("a"), tag(Kind::Typing, 5, ""), Piece::Text("b")]),
            ("[ delay = 30 ]", vec![tag(Kind::Delay, 5, "30")]),
            ("[ConversationUpdate:\n added=a]", vec![tag(Kind::ConversationUpdate, 5, "added=a")]),
            ("[[typing]]", vec![Piece::Text("["), tag(Kind::Typing, 5, ""), Piece::Text("]")]),
            (
                "a\n[Suggestions=x|y]\nb\n[InputHint=z]",
                vec![
                    Piece::Text("a\n"),
                    tag(Kind::Suggestions, 6, "x|y"),
                    Piece::Text("b\n"),
                    tag(Kind::InputHint, 8, "z"),
                ],
            ),
            ("[OAuthCard graph]", vec![tag(Kind::Card("oauth"), 5, "graph")]),
            ("[heroCard title=T\ntext=a b]", vec![tag(Kind::Card("hero"), 5, "title=T\ntext=a b")]),
            ("[typing along] [delay of a day]", vec![Piece::Text("[typing along] [delay of a day]")]),
            (
                "[HeroCard\n title=T\n]\n\n[Herocard=\n]",
                vec![tag(Kind::Card("hero"), 5, "title=T"), Piece::Text("\n"), tag(Kind::Card("hero"), 9, "")],
            ),
        ];
        for (text, expected) in cases {
            let mut problems = Vec::new();
            assert_eq!(pieces(text, 5, &mut problems), expected, "{text}");
            assert_eq!(problems, [], "{text}");
        }
    }

    #[test]
    fn a_tag_that_does_not_end_is_told() {
        let mut problems = Vec::new();
        pieces("a\n[Attachment=x.json", 1, &mut problems);
        assert_eq!(problems, [Problem::at(2, "`[Attachment` is not closed; end it with `]`")]);
    }
}
