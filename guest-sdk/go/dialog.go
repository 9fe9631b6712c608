package turntable

import "encoding/json"

// Dialog is a part of a conversation that takes more than one turn. StraightLine and Waterfall create one; implement it
// yourself for another style.
type Dialog interface {
	// ID returns the id of the dialog in the manifest.
	ID() string
	// Version returns the version of the state that the dialog stores.
	Version() int
	// OnEvent handles one event. The state is nil or what the last step stored.
	OnEvent(turn *Turn, event Event, state json.RawMessage) (Step, error)
}

// Event is an event of a dialog. wit/dialogs.wit lists the kinds and their data.
type Event struct {
	Kind, Name string
	Data       json.RawMessage
}

// Step is what the host does next for a dialog. wit/dialogs.wit lists the kinds and their data.
type Step struct {
	Kind string
	Data any
	// State is what the host stores until the next event. Nil leaves the stored state unchanged.
	State any
}

// WithState sets the state to store until the next event.
func (s Step) WithState(state any) Step {
	s.State = state
	return s
}

// Wait waits for a message, or also for activities of other types.
func Wait(activities ...string) Step {
	if len(activities) == 0 {
		return Step{Kind: "wait"}
	}
	return Step{Kind: "wait", Data: map[string]any{"activities": activities}}
}

// AskStep asks: the dialog resumes with the answer.
func AskStep(prompt Asker) (Step, error) {
	defined, err := prompt.define()
	return Step{Kind: "prompt", Data: defined}, err
}

// CallStep calls another dialog of this plugin: the dialog resumes with its result.
func CallStep(dialog string, options any) Step {
	return Step{Kind: "call", Data: begins{dialog, options}}
}

// ReplaceStep ends the dialog and begins another in its place.
func ReplaceStep(dialog string, options any) Step {
	return Step{Kind: "replace", Data: begins{dialog, options}}
}

// Done ends the dialog with a result.
func Done(result any) Step { return Step{Kind: "done", Data: result} }

// Cancelled ends the dialog without a result.
func Cancelled() Step { return Step{Kind: "cancelled"} }

// FlushStep delivers what was sent so far, then resumes the dialog.
func FlushStep() Step { return Step{Kind: "flush"} }

// Ignored leaves the event unhandled.
func Ignored() Step { return Step{Kind: "ignored"} }

// Accept accepts an answer.
func Accept() Step { return Step{Kind: "accept"} }

// AcceptAs accepts another value in place of the answer.
func AcceptAs(value any) Step { return Step{Kind: "accept", Data: value} }

// Reject rejects an answer. The host asks again, with this question unless it is nil.
func Reject(question any) (Step, error) {
	text, err := say(question)
	if text == nil {
		return Step{Kind: "reject"}, err
	}
	return Step{Kind: "reject", Data: map[string]any{"retry": text}}, err
}

type begins struct {
	Dialog  string `json:"dialog"`
	Options any    `json:"options"`
}

// Outcome is how the prompt or dialog that a dialog waited for has ended.
type Outcome struct {
	// Reason is "completed", "cancelled" or "failed".
	Reason string          `json:"reason"`
	Result json.RawMessage `json:"result"`
}

// IsCompleted returns whether there is a result.
func (o Outcome) IsCompleted() bool { return o.Reason == "completed" }

// Outcome returns the outcome of an event "resume". Other events are completed with their data.
func (e Event) Outcome() Outcome {
	if e.Kind != "resume" {
		return Outcome{"completed", e.Data}
	}
	outcome := Outcome{Reason: "completed"}
	_ = json.Unmarshal(e.Data, &outcome) // The host writes it.
	return outcome
}

// Check is a recognized answer that a validator checks.
type Check struct {
	Value   json.RawMessage `json:"value"`
	Attempt int             `json:"attempt"`
}

// Migration is a state that another version of the dialog stored.
type Migration struct {
	From, To int
	State    json.RawMessage
}

// Validator checks an answer. It returns Accept, AcceptAs or Reject.
type Validator func(Check, *Turn) (Step, error)

// Migrate returns the state for this version, or nil if the state cannot be migrated. The host then resets the dialog.
type Migrate func(Migration) (any, error)

// Hooks are the options of a dialog.
type Hooks struct {
	// Version is the version of the state. Raise it when an edit changes the shape of the state.
	Version     int
	Validators  map[string]Validator
	OnCancelled func(turn *Turn, reason string) error
	Migrate     Migrate
}

func (h Hooks) validate(dialog string, turn *Turn, event Event) (Step, error) {
	var check struct {
		Check
		Validator string `json:"validator"`
	}
	if err := json.Unmarshal(event.Data, &check); err != nil {
		return Step{}, Invalid("the event `validate` has other data: %v", err)
	}
	validator := h.Validators[check.Validator]
	if validator == nil {
		return Step{}, Invalid("the dialog `%s` has no validator `%s`; add it to Hooks.Validators", dialog, check.Validator)
	}
	verdict, err := validator(check.Check, turn)
	if err == nil && verdict.Kind != "accept" && verdict.Kind != "reject" {
		err = Invalid("the validator `%s` returned the step `%s`; return Accept, AcceptAs or Reject", check.Validator, verdict.Kind)
	}
	return verdict, err
}

func (h Hooks) cancelled(turn *Turn, event Event) (Step, error) {
	var read struct{ Reason string }
	_ = json.Unmarshal(event.Data, &read) // The host writes it.
	if h.OnCancelled == nil {
		return Ignored(), nil
	}
	return Ignored(), h.OnCancelled(turn, read.Reason)
}

// migrated calls the migration hook. It returns nil if there is none or it cannot migrate the state.
func (h Hooks) migrated(from int, state any) (any, error) {
	if h.Migrate == nil {
		return nil, nil
	}
	text, err := Marshal(state)
	if err != nil {
		return nil, err
	}
	return h.Migrate(Migration{from, h.Version, text})
}

func fromVersion(event Event) int {
	var read struct{ From int }
	_ = json.Unmarshal(event.Data, &read) // The host writes it.
	return read.From
}

// isOwn returns whether a dialog of this style stored the state, or the event needs no state.
func isOwn(state json.RawMessage, event Event, member string) bool {
	if state == nil {
		return true
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(state, &members) == nil {
		if _, found := members[member]; found {
			return true
		}
	}
	switch event.Kind {
	case "continue", "resume", "reprompt", "migrate", "rehearse":
		return false
	}
	return true
}
