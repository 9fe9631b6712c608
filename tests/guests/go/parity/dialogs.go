package main

import (
	"encoding/json"
	"fmt"

	"turntable"
)

func order() turntable.Dialog {
	hooks := turntable.Hooks{
		Validators: map[string]turntable.Validator{"even": even},
		OnCancelled: func(turn *turntable.Turn, reason string) error {
			_, err := turn.Reply("no order: " + reason)
			return err
		},
	}
	what := func(s *step) (then, error) { return s.Prompt(turntable.Text{Question: "What?"}) }
	return turntable.Waterfall("order", hooks, turntable.Then(what), turntable.Then(howMany), turntable.Then(ordered))
}

func howMany(s *step) (then, error) {
	if err := s.Keep("what", s.Outcome.Result); err != nil {
		return then{}, err
	}
	return s.Prompt(turntable.Integer{
		Question: "How many?", Min: turntable.Ptr(1.0), Retry: "A number from 1.", Validator: "even",
	})
}

func ordered(s *step) (then, error) {
	var what string
	var options map[string]json.RawMessage
	if err := s.Kept("what", &what); err != nil {
		return then{}, err
	}
	if err := json.Unmarshal(s.Options, &options); err != nil {
		return then{}, err
	}
	if _, err := s.Reply(fmt.Sprintf("%s %s by %s", s.Outcome.Result, what, options["by"])); err != nil {
		return then{}, err
	}
	return s.Done(s.Outcome.Result)
}

func even(check turntable.Check, _ *turntable.Turn) (then, error) {
	value, err := turntable.As[int](check.Value)
	switch {
	case err != nil:
		return then{}, err
	case value == 11:
		return turntable.AcceptAs(12), nil
	case value%2 == 0:
		return turntable.Accept(), nil
	}
	return turntable.Reject(fmt.Sprintf("%d is odd (%d)", value, check.Attempt))
}

func city(check turntable.Check, _ *turntable.Turn) (then, error) {
	if value, err := turntable.As[string](check.Value); err != nil || value == "Nowhere" {
		return turntable.Reject("Where is that?")
	}
	return turntable.Accept(), nil
}

func trip() turntable.Dialog {
	hooks := turntable.Hooks{Validators: map[string]turntable.Validator{"city": city}}
	return turntable.StraightLine("trip", hooks, func(d *turntable.Dialogue) (any, error) {
		if _, err := d.Send("Welcome."); err != nil {
			return nil, err
		}
		to := turntable.Ask(d, turntable.Text{Question: "Where to?", Name: "to", Validator: "city"})
		taken := "None"
		if seats, isKnown := turntable.TryCall[int](d, "seats", nil); isKnown {
			taken = fmt.Sprintf("Some(%d)", seats)
		}
		code := d.Hear("What is your code?")
		d.Flush()
		if _, err := d.Send(fmt.Sprintf("%s to %s, %s", taken, to, code.Text)); err != nil {
			return nil, err
		}
		if !turntable.Ask(d, turntable.Confirm{Question: "Sure?"}) {
			return d.Cancel()
		}
		return to, nil
	})
}

func seats() turntable.Dialog {
	return turntable.StraightLine("seats", turntable.Hooks{}, func(d *turntable.Dialogue) (any, error) {
		return turntable.Ask(d, turntable.Integer{Question: "How many seats?", Min: turntable.Ptr(1.0), Attempts: 2}), nil
	})
}

func small() []turntable.Dialog {
	none := turntable.Hooks{}
	wait := func(question string) turntable.Stage {
		return turntable.Then(func(s *step) (then, error) { return s.Wait(question) })
	}
	call := func(dialog string) turntable.Stage {
		return turntable.Then(func(s *step) (then, error) { return s.Call(dialog, nil) })
	}
	replace := func(dialog string) turntable.Stage {
		return turntable.Then(func(s *step) (then, error) { return s.Replace(dialog, nil) })
	}
	childSaid := turntable.Always(func(s *step) (then, error) {
		if _, err := s.Reply("child " + s.Outcome.Reason); err != nil {
			return then{}, err
		}
		return s.Done(nil)
	})
	waits := turntable.Always(func(s *step) (then, error) { return s.Wait("child " + s.Outcome.Reason) })
	fail := turntable.Then(func(*step) (then, error) { return then{}, turntable.Internal("broken") })
	first := turntable.Then(func(s *step) (then, error) {
		if _, err := s.Reply("first"); err != nil {
			return then{}, err
		}
		return s.Flush()
	})
	return []turntable.Dialog{
		turntable.Waterfall("aside", none, wait("aside?")),
		turntable.Waterfall("parent", none, call("aside"), childSaid),
		turntable.Waterfall("guards", none, call("fails"), waits),
		turntable.Waterfall("hands-over", none, replace("aside")),
		turntable.Waterfall("fails", none, wait("say something"), fail),
		turntable.Waterfall("flushes", none, first, wait("second")),
		turntable.Waterfall("endless", none, replace("endless")),
		turntable.Waterfall("recursive", none, call("recursive")),
	}
}

// listens waits for events too.
type listens struct{}

func (listens) ID() string   { return "listens" }
func (listens) Version() int { return 0 }

func (listens) OnEvent(turn *turntable.Turn, event turntable.Event, _ json.RawMessage) (then, error) {
	switch event.Kind {
	case "begin", "reprompt":
		return turntable.Wait("event"), nil
	case "continue":
		_, err := turn.Reply("listens to " + turn.Activity.Type)
		return turntable.Done(nil), err
	}
	return turntable.Ignored(), nil
}

// ignores takes no message.
type ignores struct{}

func (ignores) ID() string   { return "ignores" }
func (ignores) Version() int { return 0 }

func (ignores) OnEvent(_ *turntable.Turn, event turntable.Event, _ json.RawMessage) (then, error) {
	if event.Kind == "begin" {
		return turntable.Wait(), nil
	}
	return turntable.Ignored(), nil
}

// asks returns a dialog that asks one question and says what the host made of the answer.
func asks(id string, prompt turntable.Asker) turntable.Dialog {
	ask := turntable.Then(func(s *step) (then, error) { return s.Prompt(prompt) })
	ended := turntable.Always(func(s *step) (then, error) {
		result := s.Outcome.Result
		if result == nil {
			result = json.RawMessage("null")
		}
		if _, err := s.Reply(fmt.Sprintf("%s %s", s.Outcome.Reason, result)); err != nil {
			return then{}, err
		}
		return s.Done(nil)
	})
	return turntable.Waterfall(id, turntable.Hooks{}, ask, ended)
}

func prompts() []turntable.Dialog {
	colours := []turntable.Option{{Value: "red"}, {Value: "dark green", Synonyms: []string{"grass"}}, {Value: "blue"}}
	return []turntable.Dialog{
		asks("text", turntable.Text{Question: "Code?", Pattern: "[A-Z]{2}", Retry: "Two letters.", Attempts: 3}),
		asks("name", turntable.Text{Question: "Name?", MinLength: 2, MaxLength: 5}),
		asks("number", turntable.Number{
			Question: "How much?", Min: turntable.Ptr(0.5), Max: turntable.Ptr(9.0), Attempts: 2,
		}),
		asks("confirm", turntable.Confirm{Question: "Sure?"}),
		asks("colour", turntable.Choice{Question: "Which?", Choices: colours}),
		asks("when", turntable.DateTime{Question: "When?", Earliest: "today"}),
		asks("day", turntable.DateTime{Question: "Which day?", Types: []string{"date"}}),
		asks("picture", turntable.Files{Question: "A picture?", ContentTypes: []string{"image/*"}, MaxCount: 1}),
		asks("no-choices", turntable.Choice{Question: "which?"}),
	}
}

// versioned returns dialogs whose state has another shape in release 2, and which release 3 has no more.
func versioned(release byte) []turntable.Dialog {
	if release == 3 {
		return nil
	}
	steps := func(id string, migrate turntable.Migrate) turntable.Dialog {
		ask := turntable.Then(func(s *step) (then, error) { return s.Prompt(turntable.Text{Question: "Which city?"}) })
		keep := turntable.Then(func(s *step) (then, error) {
			if err := s.Keep("city", s.Outcome.Result); err != nil {
				return then{}, err
			}
			return s.Wait("Anything else?")
		})
		say := turntable.Then(func(s *step) (then, error) {
			name := "town"
			if release == 1 {
				name = "city"
			}
			var town string
			if err := s.Kept(name, &town); err != nil {
				return then{}, err
			}
			if _, err := s.Reply(town); err != nil {
				return then{}, err
			}
			return s.Done(nil)
		})
		return turntable.Waterfall(id, turntable.Hooks{Version: int(release), Migrate: migrate}, ask, keep, say)
	}
	moved := func(old turntable.Migration) (any, error) {
		values, err := turntable.As[map[string]string](old.State)
		return map[string]string{"town": fmt.Sprintf("%s (%d to %d)", values["city"], old.From, old.To)}, err
	}
	givesUp := func(turntable.Migration) (any, error) { return nil, nil }
	return []turntable.Dialog{steps("migrates", moved), steps("gives-up", givesUp), steps("no-hook", nil), edited(release)}
}

func edited(release byte) turntable.Dialog {
	return turntable.StraightLine("edited", turntable.Hooks{}, func(d *turntable.Dialogue) (any, error) {
		name := turntable.Ask(d, turntable.Text{Question: "Who?", Name: "name"})
		question := "Where to?"
		if release == 1 {
			question = "Where?"
		}
		turntable.Ask(d, turntable.Text{Question: question})
		_, err := d.Send(name + " goes.")
		return nil, err
	})
}
