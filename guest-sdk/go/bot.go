// Package turntable is the SDK for plugins of Turntable in Go. A plugin is a sandboxed WebAssembly component with the logic
// of a bot.
//
//	package main
//
//	import "turntable"
//
//	var bot = turntable.Bot{OnMessage: func(turn *turntable.Turn) error {
//		_, err := turn.Reply("Echo: " + turn.Text())
//		return err
//	}}
//
//	func init() { turntable.Register(&bot) }
//	func main() {}
package turntable

import (
	"encoding/json"
	"errors"
)

// Next is what a handler returns to leave the activity to the next plugin of the bot. The handler has not failed.
var Next = errors.New("next")

// Bot is the logic of a bot: its manifest, its dialogs, and a handler for each kind of activity that it handles. An activity
// without a handler goes to the next plugin. A handler that returns nil has handled the activity.
//
// Each turn has an instance of its own, so variables do not outlive it.
type Bot struct {
	Manifest Manifest
	Dialogs  []Dialog

	// OnTurn handles every activity. It calls Dispatch for the other handlers.
	OnTurn func(*Turn) error
	// OnRoute handles a message that matched a route of the manifest. Without it OnMessage gets the message.
	OnRoute func(*Turn, string) error

	OnMessage           func(*Turn) error
	OnMessageUpdate     func(*Turn) error
	OnMessageDelete     func(*Turn) error
	OnEndOfConversation func(*Turn) error
	OnTyping            func(*Turn) error
	OnCommand           func(*Turn) error
	OnCommandResult     func(*Turn) error
	// OnUnrecognized handles an activity of a type that this version of the SDK does not know.
	OnUnrecognized func(*Turn) error

	// OnConversationUpdate may return Next to go on with the two handlers below.
	OnConversationUpdate func(*Turn) error
	// OnMembersAdded gets the members that joined. The bot itself is never among them.
	OnMembersAdded   func(*Turn, []Account) error
	OnMembersRemoved func(*Turn, []Account) error
	// OnMessageReaction may return Next to go on with the two handlers below.
	OnMessageReaction  func(*Turn) error
	OnReactionsAdded   func(*Turn, []Reaction) error
	OnReactionsRemoved func(*Turn, []Reaction) error
	// OnInstallationUpdate may return Next to go on with the two handlers below.
	OnInstallationUpdate  func(*Turn) error
	OnInstallationAdded   func(*Turn) error
	OnInstallationRemoved func(*Turn) error
	// OnEvent may return Next to go on with OnTokenResponse.
	OnEvent         func(*Turn) error
	OnTokenResponse func(*Turn, json.RawMessage) error

	// OnInvoke may return nil to go on with the handlers below and then with other plugins.
	OnInvoke             func(*Turn) (*Response, error)
	OnAdaptiveCardAction func(*Turn, Action) (*Response, error)
	OnSearch             func(*Turn, Search) (*Response, error)
	OnSignInVerify       func(*Turn, string) (*Response, error)
	OnSignInExchange     func(*Turn, json.RawMessage) (*Response, error)

	// OnReceive is middleware: an incoming activity, before routes, dialogs and handlers.
	OnReceive func(*Turn) (Passage, error)
	// OnSend is middleware: an outgoing activity, at the moment it is staged.
	OnSend func(*Turn, *Activity) (Passage, error)
	// OnUpdate is middleware: an activity that replaces another.
	OnUpdate func(*Turn, *Activity) (Passage, error)
	// OnDelete is middleware: a deletion.
	OnDelete func(*Turn, string) (Passage, error)
	// AfterTurn is middleware: the turn is about to commit. The outcome is "completed", "failed" or "stopped".
	AfterTurn func(*Turn, string) error
}

// Passage is what a hook of middleware decides. The zero value is Pass.
type Passage struct {
	kind     string
	activity *Activity
}

// Pass lets the activity pass unchanged.
var Pass = Passage{}

// Stop lets the activity go no further.
var Stop = Passage{kind: "stop"}

// ReplaceWith lets another activity pass in its place.
func ReplaceWith(activity Activity) Passage { return Passage{"replace", &activity} }

// Sender returns the plugin that sends the activity in a hook: empty for an incoming one, "turntable" for the host.
func Sender(turn *Turn) string {
	sender, _ := turn.Extra("sender")
	return sender
}

// intercepts returns the events of the hooks that the bot has.
func (b *Bot) intercepts() []string {
	var events []string
	hooks := []struct {
		event string
		has   bool
	}{
		{"receive", b.OnReceive != nil}, {"send", b.OnSend != nil}, {"update", b.OnUpdate != nil},
		{"delete", b.OnDelete != nil}, {"turn-end", b.AfterTurn != nil},
	}
	for _, hook := range hooks {
		if hook.has {
			events = append(events, hook.event)
		}
	}
	return events
}
