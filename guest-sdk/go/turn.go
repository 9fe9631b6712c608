package turntable

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Meta is what the host knows about the turn. A channel cannot forge TurnID, BotID and Trigger.
type Meta struct {
	TurnID, BotID, ChannelID, ConversationID string
	// Kind is the type of the activity.
	Kind string
	// Trigger is "activity", "route:NAME", "dialog:ID", "notify", "timer:NAME", or a later value.
	Trigger string
	// Locale is empty if the channel sent none.
	Locale string
	// BudgetMS is the CPU time that this plugin may still use in this turn.
	BudgetMS uint32
	// Extra holds further facts as pairs of name and value.
	Extra [][2]string
}

// Turn is one activity that is being handled. Sends are staged and leave after the turn has succeeded.
type Turn struct {
	Meta     Meta
	Activity Activity
	host     Host
}

// Text returns the text as the channel sent it.
func (t *Turn) Text() string { return t.Activity.Text }

// SpokenText returns what the user said: the text without mentions of the bot, quotes, escapes and e-mail signatures.
func (t *Turn) SpokenText() string {
	if spoken, found := t.Extra("spoken-text"); found {
		return spoken
	}
	return t.Activity.textWithoutRecipient()
}

// Route returns the name of the route that matched, or an empty text.
func (t *Turn) Route() string {
	name, _ := strings.CutPrefix(t.Meta.Trigger, "route:")
	if name == t.Meta.Trigger {
		return ""
	}
	return name
}

// Value reads the value of the activity into a variable.
func (t *Turn) Value(target any) error {
	if len(t.Activity.Value) == 0 {
		return Invalid("the activity has no value")
	}
	if err := json.Unmarshal(t.Activity.Value, target); err != nil {
		return Invalid("the value of the activity is not a %T: %v", target, err)
	}
	return nil
}

// Extra returns a fact of Meta.Extra.
func (t *Turn) Extra(name string) (string, bool) {
	for _, pair := range t.Meta.Extra {
		if pair[0] == name {
			return pair[1], true
		}
	}
	return "", false
}

// Reply answers the activity with a string, an Activity or an Attachment, and returns the host id of the answer.
func (t *Turn) Reply(what any) (string, error) { return staged(what, t.host.Reply) }

// Send adds an activity that answers nothing, and returns its host id.
func (t *Turn) Send(what any) (string, error) { return staged(what, t.host.Send) }

// Update replaces an activity that this bot sent.
func (t *Turn) Update(id string, what any) error {
	_, err := staged(what, func(text string) (string, error) { return "", t.host.Update(id, text) })
	return err
}

// Delete deletes an activity that this bot sent.
func (t *Turn) Delete(id string) error { return t.host.Delete(id) }

// Typing shows a typing indicator, at once.
func (t *Turn) Typing() error {
	_, err := t.Reply(Activity{Type: "typing"})
	return err
}

// Flush delivers what is staged now. If the turn fails later, the flushed part remains. It works in handlers only.
func (t *Turn) Flush() error { return t.host.Flush() }

// Respond sets the response to an invoke. Handlers of invokes return their response instead.
func (t *Turn) Respond(response Response) error {
	if response.Body == nil {
		return t.host.Respond(uint32(response.Status), nil)
	}
	text, err := Marshal(response.Body)
	if err != nil {
		return err
	}
	body := string(text)
	return t.host.Respond(uint32(response.Status), &body)
}

// Config reads a setting of the operator into a variable. It returns false if the setting is not set.
func (t *Turn) Config(key string, target any) (bool, error) {
	text, found := t.host.ConfigGet(key)
	if !found {
		return false, nil
	}
	if err := json.Unmarshal([]byte(text), target); err != nil {
		return true, Invalid("the setting `%s` is not a %T: %v", key, target, err)
	}
	return true, nil
}

// ConfigKeys returns the names of all settings, sorted.
func (t *Turn) ConfigKeys() []string { return t.host.ConfigKeys() }

// Log writes a line into the host's log. Level is "trace", "debug", "info", "warn" or "error". Put constant text into the
// message and variable values into pairs of name and value.
func (t *Turn) Log(level, message string, pairs ...any) {
	fields := make([][2]string, 0, len(pairs)/2)
	for at := 0; at+1 < len(pairs); at += 2 {
		fields = append(fields, [2]string{fmt.Sprint(pairs[at]), fmt.Sprint(pairs[at+1])})
	}
	t.host.Log(level, message, fields)
}

// Dialogs returns the dialog stack of the conversation.
func (t *Turn) Dialogs() Stack { return Stack{t.host} }

// Conversations returns the deliveries into this or another conversation.
func (t *Turn) Conversations() Conversations { return Conversations{t.host} }

func staged(what any, stage func(string) (string, error)) (string, error) {
	activity, err := ToActivity(what)
	if err != nil {
		return "", err
	}
	text, err := Marshal(activity)
	if err != nil {
		return "", err
	}
	return stage(string(text))
}

// Stack is the dialog stack. It works in handlers only; a dialog returns steps instead.
type Stack struct{ host Host }

// Begin begins a dialog of this plugin on top of the stack and returns the id of its frame.
func (s Stack) Begin(dialog string, options any) (string, error) {
	text, err := Marshal(options)
	if err != nil {
		return "", err
	}
	return s.host.Begin(dialog, string(text))
}

// Replace cancels the top dialog and begins a dialog of this plugin in its place.
func (s Stack) Replace(dialog string, options any) (string, error) {
	text, err := Marshal(options)
	if err != nil {
		return "", err
	}
	return s.host.Replace(dialog, string(text))
}

// CancelAll cancels all dialogs and returns their number.
func (s Stack) CancelAll() (int, error) { return s.host.CancelAll() }

// Reprompt asks the top dialog to repeat its question. It returns false if no dialog waits.
func (s Stack) Reprompt() (bool, error) { return s.host.Reprompt() }

// Frames returns the stack, top first.
func (s Stack) Frames() ([]Frame, error) { return s.host.Stack() }
