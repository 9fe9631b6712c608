package turntable

import (
	"encoding/json"
	"fmt"
)

// Message returns a message with a text.
func Message(text string) Activity { return Activity{Type: "message", Text: text} }

// Suggest returns a message with buttons that each send their own text.
func Suggest(text string, buttons ...string) Activity {
	message := Message(text)
	message.SuggestedActions = &SuggestedActions{To: []string{}, Actions: actions(buttons)}
	return message
}

// With returns a message with a text, which may be empty, and attachments.
func With(text string, attachments ...Attachment) Activity {
	return Activity{Type: "message", Text: text, Attachments: attachments}
}

// NewEvent returns an event with a value.
func NewEvent(name string, value any) (Activity, error) {
	text, err := Marshal(value)
	return Activity{Type: "event", Name: name, Value: text}, err
}

// AdaptiveCard returns an attachment with an adaptive card. The content is a map, a struct or a json.RawMessage.
func AdaptiveCard(content any) (Attachment, error) {
	text, err := Marshal(content)
	return Attachment{ContentType: "application/vnd.microsoft.card.adaptive", Content: text}, err
}

// HeroCard is the content of a hero card.
type HeroCard struct {
	Title    string       `json:"title,omitempty"`
	Subtitle string       `json:"subtitle,omitempty"`
	Text     string       `json:"text,omitempty"`
	Images   []CardImage  `json:"images,omitempty"`
	Buttons  []CardAction `json:"buttons,omitempty"`
}

// CardImage is an image of a card.
type CardImage struct {
	URL string `json:"url"`
	Alt string `json:"alt,omitempty"`
}

// Attachment returns an attachment with the card.
func (c HeroCard) Attachment() (Attachment, error) {
	text, err := Marshal(c)
	return Attachment{ContentType: "application/vnd.microsoft.card.hero", Content: text}, err
}

// Button returns a button that sends its title as a message of the user.
func Button(title string) CardAction { return CardAction{Type: "imBack", Title: title, Value: title} }

// File returns an attachment with a file.
func File(contentType, contentURL, name string) Attachment {
	return Attachment{ContentType: contentType, ContentURL: contentURL, Name: name}
}

// Mention returns a mention of an account for the member Entities, and the text that the message must contain.
func Mention(account Account) (entity json.RawMessage, text string, err error) {
	name := account.Name
	if name == "" {
		name = account.ID
	}
	text = fmt.Sprintf("<at>%s</at>", name)
	entity, err = Marshal(struct {
		Type      string  `json:"type"`
		Mentioned Account `json:"mentioned"`
		Text      string  `json:"text"`
	}{"mention", account, text})
	return entity, text, err
}

// ToActivity returns the activity for what Turn.Reply accepts: a text, an Activity or an Attachment.
func ToActivity(what any) (Activity, error) {
	switch what := what.(type) {
	case string:
		return Message(what), nil
	case Activity:
		return what, nil
	case *Activity:
		if what != nil {
			return *what, nil
		}
	case Attachment:
		return With("", what), nil
	}
	return Activity{}, Invalid("%T is not an activity; pass a string, an Activity or an Attachment", what)
}

func actions(titles []string) []CardAction {
	buttons := make([]CardAction, len(titles))
	for index, title := range titles {
		buttons[index] = Button(title)
	}
	return buttons
}
