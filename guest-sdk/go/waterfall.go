package turntable

import "encoding/json"

// Stage is one step of a waterfall: Then or Always of a function.
type Stage struct {
	run      func(*WaterfallStep) (Step, error)
	isAlways bool
}

// Then is a step that runs after the one before it. The function returns what to wait for, made by the functions of its
// argument. If what the step before waited for was cancelled or failed, the dialog ends as cancelled.
func Then(run func(*WaterfallStep) (Step, error)) Stage { return Stage{run, false} }

// Always is a step that runs however the wait of the step before ended; see WaterfallStep.Outcome.
func Always(run func(*WaterfallStep) (Step, error)) Stage { return Stage{run, true} }

// Waterfall creates a dialog of steps that run one after another.
func Waterfall(id string, hooks Hooks, stages ...Stage) Dialog { return &waterfall{id, hooks, stages} }

// WaterfallStep is the argument of a step: the turn, what the step before waited for, and the functions that end a step.
type WaterfallStep struct {
	*Turn
	// Options are what the dialog was begun with.
	Options json.RawMessage
	// Outcome is how the wait of the step before ended, with the answer or result.
	Outcome Outcome
	values  map[string]json.RawMessage
	asked   *Activity
}

// Result reads what the step before waited for into a variable: an answer, the result of a dialog, or an activity.
func (s *WaterfallStep) Result(target any) error {
	if err := json.Unmarshal(s.Outcome.Result, target); err != nil {
		return Invalid("the result is not a %T: %v", target, err)
	}
	return nil
}

// Keep stores a value for later steps.
func (s *WaterfallStep) Keep(name string, value any) error {
	text, err := Marshal(value)
	if err == nil {
		s.values[name] = text
	}
	return err
}

// Kept reads a value that a step before stored.
func (s *WaterfallStep) Kept(name string, target any) error {
	text, found := s.values[name]
	if !found {
		return Invalid("no step kept the value `%s`", name)
	}
	if err := json.Unmarshal(text, target); err != nil {
		return Invalid("the value `%s` is not a %T: %v", name, target, err)
	}
	return nil
}

// Prompt ends the step: the host asks, and the next step gets the answer.
func (s *WaterfallStep) Prompt(prompt Asker) (Step, error) { return AskStep(prompt) }

// Wait ends the step: it sends a question and waits for a message. After an interruption the question is repeated.
func (s *WaterfallStep) Wait(question any) (Step, error) {
	asked, err := ToActivity(question)
	if err != nil {
		return Step{}, err
	}
	s.asked = &asked
	_, err = s.Reply(asked)
	return Wait(), err
}

// Call ends the step: another dialog runs, and the next step gets its result.
func (s *WaterfallStep) Call(dialog string, options any) (Step, error) {
	return CallStep(dialog, options), nil
}

// Replace ends the dialog and begins another in its place.
func (s *WaterfallStep) Replace(dialog string, options any) (Step, error) {
	return ReplaceStep(dialog, options), nil
}

// Next ends the step: the next step runs at once with this result.
func (s *WaterfallStep) Next(result any) (Step, error) {
	return Step{Kind: stepNext, Data: result}, nil
}

// Flush ends the step: the host delivers what was sent so far, then the next step runs.
func (s *WaterfallStep) Flush() (Step, error) { return FlushStep(), nil }

// Done ends the dialog with a result.
func (s *WaterfallStep) Done(result any) (Step, error) { return Done(result), nil }

// Cancel ends the dialog without a result.
func (s *WaterfallStep) Cancel() (Step, error) { return Cancelled(), nil }

// stepNext is the kind of a step that continues with the next one at once. It never reaches the host.
const stepNext = "next"

type waterfall struct {
	id    string
	hooks Hooks
	steps []Stage
}

// waterfallState is the state of a frame, the same in every SDK.
type waterfallState struct {
	Index   int                        `json:"index"`
	Options json.RawMessage            `json:"options"`
	Values  map[string]json.RawMessage `json:"values"`
	Asked   *Activity                  `json:"asked,omitempty"`
}

func (w *waterfall) ID() string   { return w.id }
func (w *waterfall) Version() int { return w.hooks.Version }

func (w *waterfall) OnEvent(turn *Turn, event Event, state json.RawMessage) (Step, error) {
	if !isOwn(state, event, "index") {
		return Step{Kind: "reject"}, nil
	}
	var now waterfallState
	if state != nil {
		_ = json.Unmarshal(state, &now) // What isOwn did not recognize is only used by events that need no state.
	}
	if now.Values == nil {
		now.Values = map[string]json.RawMessage{}
	}
	switch event.Kind {
	case "begin":
		begun := waterfallState{Options: event.Data, Values: map[string]json.RawMessage{}}
		return w.run(turn, begun, Outcome{Reason: "completed"})
	case "continue", "resume":
		now.Index++
		return w.run(turn, now, event.Outcome())
	case "reprompt":
		if now.Asked != nil {
			if _, err := turn.Reply(*now.Asked); err != nil {
				return Step{}, err
			}
		}
		return Wait(), nil
	case "validate":
		return w.hooks.validate(w.id, turn, event)
	case "cancelled":
		return w.hooks.cancelled(turn, event)
	case "migrate":
		return w.migrate(event, now)
	case "rehearse":
		// If an edit removed the step that waits, the answer ends the dialog. That is not a reset.
		return Accept(), nil
	}
	return Ignored(), nil
}

func (w *waterfall) migrate(event Event, now waterfallState) (Step, error) {
	values, err := w.hooks.migrated(fromVersion(event), now.Values)
	if err != nil || values == nil {
		return Step{Kind: "reject"}, err
	}
	text, err := Marshal(values)
	if err != nil {
		return Step{}, err
	}
	now.Values = nil
	if err := json.Unmarshal(text, &now.Values); err != nil {
		return Step{}, Invalid("the migrated values of the dialog `%s` are not an object: %v", w.id, err)
	}
	return Accept().WithState(now), nil
}

func (w *waterfall) run(turn *Turn, state waterfallState, outcome Outcome) (Step, error) {
	for ; state.Index < len(w.steps); state.Index++ {
		stage := w.steps[state.Index]
		if !stage.isAlways && !outcome.IsCompleted() {
			return Cancelled(), nil
		}
		step := &WaterfallStep{Turn: turn, Options: state.Options, Outcome: outcome, values: state.Values}
		then, err := stage.run(step)
		if err != nil {
			return Step{}, err
		}
		switch then.Kind {
		case "":
			return Step{}, Invalid("step %d of the dialog `%s` returned no step; return step.Prompt(…), step.Wait(…), "+
				"step.Next(…), step.Done(…) or another function of the step", state.Index+1, w.id)
		case stepNext:
			result, err := Marshal(then.Data)
			if err != nil {
				return Step{}, err
			}
			outcome = Outcome{"completed", result}
		default:
			return then.WithState(waterfallState{state.Index, state.Options, step.values, step.asked}), nil
		}
	}
	return Done(outcome.Result), nil
}
