package turntable

import (
	"encoding/json"
	"strings"
)

// Activity is one activity of the protocol. Members that have no field are in More, and so are members with a value that is null,
// empty, or of another type than the field. Writing an activity keeps all of them.
type Activity struct {
	Type             string            `json:"type"`
	ID               string            `json:"id"`
	Timestamp        string            `json:"timestamp"`
	LocalTimestamp   string            `json:"localTimestamp"`
	LocalTimezone    string            `json:"localTimezone"`
	ServiceURL       string            `json:"serviceUrl"`
	ChannelID        string            `json:"channelId"`
	From             *Account          `json:"from"`
	Recipient        *Account          `json:"recipient"`
	Conversation     *Conversation     `json:"conversation"`
	ReplyToID        string            `json:"replyToId"`
	Locale           string            `json:"locale"`
	Text             string            `json:"text"`
	Speak            string            `json:"speak"`
	TextFormat       string            `json:"textFormat"`
	InputHint        string            `json:"inputHint"`
	Summary          string            `json:"summary"`
	AttachmentLayout string            `json:"attachmentLayout"`
	Attachments      []Attachment      `json:"attachments"`
	SuggestedActions *SuggestedActions `json:"suggestedActions"`
	Entities         []json.RawMessage `json:"entities"`
	Name             string            `json:"name"`
	Action           string            `json:"action"`
	Code             string            `json:"code"`
	Value            json.RawMessage   `json:"value"`
	ChannelData      json.RawMessage   `json:"channelData"`
	MembersAdded     []Account         `json:"membersAdded"`
	MembersRemoved   []Account         `json:"membersRemoved"`
	ReactionsAdded   []Reaction        `json:"reactionsAdded"`
	ReactionsRemoved []Reaction        `json:"reactionsRemoved"`

	// More holds every other member.
	More map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads an activity.
func (a *Activity) UnmarshalJSON(text []byte) (err error) {
	a.More, err = readMembers(text, a)
	return err
}

// MarshalJSON writes an activity with all its members.
func (a Activity) MarshalJSON() ([]byte, error) { return writeMembers(a, a.More) }

// Account is a user, a bot or another party of a conversation.
type Account struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Role        string `json:"role"`
	AADObjectID string `json:"aadObjectId"`

	More map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads an account.
func (a *Account) UnmarshalJSON(text []byte) (err error) {
	a.More, err = readMembers(text, a)
	return err
}

// MarshalJSON writes an account with all its members.
func (a Account) MarshalJSON() ([]byte, error) { return writeMembers(a, a.More) }

// Conversation is the conversation of an activity.
type Conversation struct {
	ID               string `json:"id"`
	Name             string `json:"name"`
	IsGroup          bool   `json:"isGroup"`
	ConversationType string `json:"conversationType"`
	TenantID         string `json:"tenantId"`

	More map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads a conversation.
func (c *Conversation) UnmarshalJSON(text []byte) (err error) {
	c.More, err = readMembers(text, c)
	return err
}

// MarshalJSON writes a conversation with all its members.
func (c Conversation) MarshalJSON() ([]byte, error) { return writeMembers(c, c.More) }

// Attachment is a file or a card.
type Attachment struct {
	ContentType  string          `json:"contentType"`
	ContentURL   string          `json:"contentUrl"`
	Content      json.RawMessage `json:"content"`
	Name         string          `json:"name"`
	ThumbnailURL string          `json:"thumbnailUrl"`

	More map[string]json.RawMessage `json:"-"`
}

// UnmarshalJSON reads an attachment.
func (a *Attachment) UnmarshalJSON(text []byte) (err error) {
	a.More, err = readMembers(text, a)
	return err
}

// MarshalJSON writes an attachment with all its members.
func (a Attachment) MarshalJSON() ([]byte, error) { return writeMembers(a, a.More) }

// Reaction is a reaction to a message.
type Reaction struct {
	Type string `json:"type"`
}

// SuggestedActions are buttons under a message.
type SuggestedActions struct {
	To      []string     `json:"to"`
	Actions []CardAction `json:"actions"`
}

// CardAction is a button.
type CardAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	Value any    `json:"value,omitempty"`
	Text  string `json:"text,omitempty"`
	Image string `json:"image,omitempty"`
}

// textWithoutRecipient returns the text of a message without mentions of its recipient.
func (a *Activity) textWithoutRecipient() string {
	text := a.Text
	for _, entity := range a.Entities {
		var mention struct {
			Type      string
			Text      string
			Mentioned *Account
		}
		if json.Unmarshal(entity, &mention) == nil && mention.Type == "mention" && a.isBot(mention.Mentioned) {
			text = strings.ReplaceAll(text, mention.Text, "")
		}
	}
	return strings.TrimSpace(text)
}

// isBot returns whether the account is the bot that the activity was sent to.
func (a *Activity) isBot(account *Account) bool {
	return account != nil && a.Recipient != nil && account.ID != "" && account.ID == a.Recipient.ID
}

// others returns the accounts that are not the bot.
func (a *Activity) others(accounts []Account) []Account {
	var others []Account
	for _, account := range accounts {
		if !a.isBot(&account) {
			others = append(others, account)
		}
	}
	return others
}
