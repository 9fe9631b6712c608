//! Parses the tags within the text of a party.

use super::Problem;

/// A part of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Tag(Tag<'a>),
}

/// A tag `[NAME=VALUE]`. Old files use a colon instead of the equals sign.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    pub(super) kind: Kind,
    /// The line on which the tag begins, counted from 1.
    pub(super) line: usize,
    /// The trimmed value. It may span lines.
    pub(super) value: &'a str,
}

/// The purpose of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Typing,
    Delay,
    ConversationUpdate,
    Attachment,
    AttachmentLayout,
    Suggestions,
    InputHint,
    /// A card. The value is the last part of its content type.
    Card(&'static str),
}

impl Kind {
    /// Returns the kind of a tag by its lower-case name.
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

/// Splits a text into plain text and tags. `line` is the number of its first line. Unknown names in brackets are plain
/// text.
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
        // Remove the line break after a tag on a line of its own, so that it leaves no empty line.
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

/// Parses the name of a tag with the blanks around it. A card may have its first property behind its name, after a
/// blank.
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
