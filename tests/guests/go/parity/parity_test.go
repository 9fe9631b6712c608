// The test host answers as the host does: tests/spec/parity.rs holds the same conversations with the component.
package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"turntable"
	"turntable/turntabletest"
)

// about is what a conversation has set for its activities.
type about struct {
	conversation    turntable.Conversation
	locale, channel string
}

// TestParity reads conversations.txt; the header of src/conversations.rs beside it explains the format.
func TestParity(t *testing.T) {
	text, err := os.ReadFile("../../parity/conversations.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split("\n"+string(text), "\n== ")[1:] {
		title, lines, _ := strings.Cut(part, "\n")
		t.Run(title, func(t *testing.T) { hold(t, title, strings.Split(lines, "\n")) })
	}
}

func hold(t *testing.T, title string, lines []string) {
	host := turntabletest.New(t, bot(1))
	host.Conversation = title
	now := about{conversation: turntable.Conversation{ID: title}, channel: "test"}
	said, expected, answered := "", []string{}, []string{}
	compare := func() {
		if !slices.Equal(expected, answered) {
			t.Errorf("%s\nanswers  %q\nexpected %q", said, answered, expected)
		}
	}
	for _, line := range lines {
		head, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
		case head == "-":
			now.set(host, rest)
		case head == "<":
			expected = append(expected, rest)
		default:
			compare()
			said, expected, answered = line, []string{}, now.answers(host, head, rest)
		}
	}
	compare()
}

func (a *about) set(host *turntabletest.Host, setting string) {
	switch name, value, _ := strings.Cut(setting, " "); name {
	case "locale":
		a.locale = value
	case "channel":
		a.channel = value
	case "group":
		a.conversation.IsGroup = true
	case "release":
		host.Serve(bot(value[0] - '0'))
	}
}

func (a *about) answers(host *turntabletest.Host, head, said string) []string {
	speaker, mark := head[:len(head)-1], head[len(head)-1]
	activity := turntable.Activity{
		Type: "message", Locale: a.locale, ChannelID: a.channel, Conversation: &a.conversation,
		From: &turntable.Account{ID: speaker}, LocalTimestamp: "2026-06-01T12:00:00",
	}
	switch mark {
	case '>':
		activity.Text = said
	case '+':
		activity.Attachments = []turntable.Attachment{turntable.File(said, "https://example.org/file", "")}
	case '!':
		activity.Type, activity.Name = "event", said
	}
	answer := host.Takes(activity)
	texts := []string{}
	if answer.Fault != nil && activity.Type == "message" {
		texts = append(texts, "FAILED")
	}
	for _, message := range answer.Messages() {
		text := message.Text
		if message.Recipient.ID != speaker {
			text = "@" + message.Recipient.ID + " " + text
		}
		texts = append(texts, text)
	}
	return texts
}
