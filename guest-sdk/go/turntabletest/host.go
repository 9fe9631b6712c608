// Package turntabletest runs a bot in go test, without WebAssembly.
//
// The command `turntable testbed` leads the turns, so routes, dialogs and prompts behave as in the host. The program is found
// on the PATH, or through the variable TURNTABLE.
//
//	func TestEcho(t *testing.T) {
//		host := turntabletest.New(t, &bot)
//		if texts := host.Says("hello").Texts(); texts[0] != "Echo: hello" {
//			t.Error(texts)
//		}
//	}
package turntabletest

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"turntable"
)

type frame = turntable.Frame

// noon is the time of a test: 1 June 2026, noon, in milliseconds since 1970.
const noon = 1_780_315_200_000

// Fault is why a turn failed.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  string `json:"detail"`
}

// Sent is an activity that was sent.
type Sent struct {
	ID string
	// As is "reply", "send", "update" or "delete".
	As       string
	Activity turntable.Activity
}

// Asked is a notification or a timer.
type Asked struct{ ID, Name, At, Reference, Mode, Content string }

// Answer is what a turn did.
type Answer struct {
	// IsHandled is false if the activity goes to the next plugin.
	IsHandled bool
	// Fault is nil if the turn succeeded.
	Fault *Fault
	Sent  []Sent
	// Response is the response to an invoke.
	Response *Response
	Log      []string
	Asked    []Asked
	// Stack is the dialog stack, top first.
	Stack []turntable.Frame
}

// Response is the response to an invoke.
type Response struct {
	Status int
	Body   json.RawMessage
}

// Messages returns the messages that were sent.
func (a *Answer) Messages() []turntable.Activity {
	var messages []turntable.Activity
	for _, sent := range a.Sent {
		if sent.Activity.Type == "message" && sent.As != "delete" {
			messages = append(messages, sent.Activity)
		}
	}
	return messages
}

// Texts returns the texts of the messages.
func (a *Answer) Texts() []string {
	texts := []string{}
	for _, message := range a.Messages() {
		texts = append(texts, message.Text)
	}
	return texts
}

// Host runs turns of a bot. State and dialogs last from turn to turn.
type Host struct {
	User, Conversation, Channel, Locale string
	// Settings are the settings of the operator.
	Settings map[string]any
	t        testing.TB
	plugin   *turntable.Plugin
	memory   *memory
}

// memory is what outlives a turn.
type memory struct {
	values map[string]turntable.Entry
	frames map[string]json.RawMessage
	count  int
}

func (m *memory) number() int {
	m.count++
	return m.count
}

// New returns a host for a bot, with an empty memory.
func New(t testing.TB, bot *turntable.Bot) *Host {
	return &Host{
		User: "user", Conversation: "conversation", Channel: "test", t: t, plugin: turntable.NewPlugin(bot),
		memory: &memory{values: map[string]turntable.Entry{}, frames: map[string]json.RawMessage{}},
	}
}

// Serve lets another bot serve, with the same memory, as a swap does.
func (h *Host) Serve(bot *turntable.Bot) { h.plugin = turntable.NewPlugin(bot) }

// Says sends a message.
func (h *Host) Says(text string) *Answer {
	h.t.Helper()
	return h.Takes(turntable.Message(text))
}

// Takes sends an activity and returns the answer.
func (h *Host) Takes(activity turntable.Activity) *Answer {
	h.t.Helper()
	h.complete(&activity)
	manifest, err := h.plugin.Describe()
	if err != nil {
		h.t.Fatal(err)
	}
	bed, err := shared()
	if err != nil {
		h.t.Fatal(err)
	}
	turn := newTurn(h, activity, manifest)
	frames := h.memory.frames[h.Conversation]
	if frames == nil {
		frames = json.RawMessage("[]")
	}
	ended, err := bed.lead(map[string]any{
		"activity": activity, "manifest": json.RawMessage(manifest), "frames": frames,
		"number": h.memory.number(), "now": noon, "trigger": "activity",
	}, turn.answer)
	if err != nil {
		h.t.Fatal(err)
	}
	return turn.end(ended)
}

// Store stores a value, and Stored returns the JSON text of one, or an empty text.
func (h *Host) Store(scope, key string, value any) {
	h.t.Helper()
	text, err := turntable.Marshal(value)
	if err != nil {
		h.t.Fatal(err)
	}
	h.memory.values[h.place(scope, key)] = turntable.Entry{Value: string(text), Etag: fmt.Sprint(h.memory.number())}
}

// Stored returns the JSON text of a stored value, or an empty text.
func (h *Host) Stored(scope, key string) string { return h.memory.values[h.place(scope, key)].Value }

func (h *Host) place(scope, key string) string {
	owner := map[string]string{
		"user": h.User, "private": h.Conversation + "\x00" + h.User, "conversation": h.Conversation, "bot": "",
	}[scope]
	return scope + "\x00" + owner + "\x00" + key
}

// complete adds the members that a channel sends.
func (h *Host) complete(activity *turntable.Activity) {
	if activity.ID == "" {
		activity.ID = fmt.Sprintf("in-%d", h.memory.number())
	}
	if activity.ChannelID == "" {
		activity.ChannelID = h.Channel
	}
	if activity.From == nil {
		activity.From = &turntable.Account{ID: h.User}
	}
	if activity.Recipient == nil {
		activity.Recipient = &turntable.Account{ID: "bot"}
	}
	if activity.Conversation == nil {
		activity.Conversation = &turntable.Conversation{ID: h.Conversation}
	}
	if activity.Locale == "" {
		activity.Locale = h.Locale
	}
}

// Hook calls a hook of middleware with JSON data: "receive", "send", "update", "delete" or "turn-end". It returns the kind and
// the data of its step.
func (h *Host) Hook(kind, data string) (string, string) {
	h.t.Helper()
	turn := newTurn(h, turntable.Message(""), `{}`)
	step, err := h.plugin.OnEvent(turn.meta("activity"), turntable.Event{Kind: kind, Data: json.RawMessage(data)}, turn)
	if err != nil {
		h.t.Fatal(err)
	}
	return step.Kind, step.Data
}

// staged is what a turn may have to undo.
type staged struct {
	values   map[string]turntable.Entry
	sent     []Sent
	asked    []Asked
	response *Response
}

func (s staged) copy() staged {
	s.values = maps.Clone(s.values)
	s.sent = append([]Sent{}, s.sent...)
	s.asked = append([]Asked{}, s.asked...)
	return s
}
