package turntable

import "encoding/json"

const restartsMax = 100

// StraightLine creates a dialog that is one function, written as if the user answered at once. What the function returns is
// the result of the dialog.
func StraightLine(id string, hooks Hooks, run func(*Dialogue) (any, error)) Dialog {
	return &straight{id, hooks, run}
}

type straight struct {
	id    string
	hooks Hooks
	run   func(*Dialogue) (any, error)
}

func (s *straight) ID() string   { return s.id }
func (s *straight) Version() int { return s.hooks.Version }

func (s *straight) OnEvent(turn *Turn, event Event, state json.RawMessage) (Step, error) {
	if !isOwn(state, event, "entries") {
		return Step{Kind: "reject"}, nil
	}
	now := &journal{}
	if state != nil {
		_ = json.Unmarshal(state, now) // What isOwn did not recognize is only used by events that need no state.
	}
	switch event.Kind {
	case "begin":
		return s.play(turn, &journal{Options: event.Data})
	case "continue", "resume":
		now.answered(event.Outcome())
		return s.play(turn, now)
	case "reprompt":
		if now.Waits != nil && now.Waits.Asked != nil {
			asked, err := As[Activity](now.Waits.Asked)
			if err == nil {
				_, err = turn.Reply(asked)
			}
			return Wait(), err
		}
		return Wait(), nil
	case "validate":
		return s.hooks.validate(s.id, turn, event)
	case "cancelled":
		return s.hooks.cancelled(turn, event)
	case "migrate":
		return s.migrate(event, now)
	case "rehearse":
		return s.rehearse(turn, now)
	}
	return Ignored(), nil
}

func (s *straight) play(turn *Turn, now *journal) (Step, error) {
	for range restartsMax + 1 {
		step, restarted, err := s.once(turn, now)
		if err != nil || restarted == nil {
			return step, err
		}
		now = restarted
	}
	return Step{}, Quota("the dialog `%s` restarted %d times without waiting for anything", s.id, restartsMax)
}

// once runs the function until it waits, restarts or ends. It returns a step, or the journal of a restart.
func (s *straight) once(turn *Turn, now *journal) (Step, *journal, error) {
	d := &Dialogue{turn: turn, journal: now}
	why := s.start(d)
	isOver := why.step == nil && why.restarts == nil
	switch {
	case why.err != nil:
		return Step{}, nil, why.err
	case why.isEdited || isOver && d.at < len(now.Entries):
		turn.Log("warn", "the dialog was edited: it differs from its journal", "dialog", s.id, "ordinal", d.at)
		carried, err := s.carriedOver(now)
		return Step{Kind: "reject"}, carried, err
	case isOver:
		return Done(why.result), nil, nil
	case why.restarts != nil:
		restarted, err := now.restarted(*why.restarts)
		return Step{}, restarted, err
	case why.waits == nil:
		return *why.step, nil, nil
	}
	now.Waits = why.waits
	state, err := now.toState()
	return why.step.WithState(state), nil, err
}

// start runs the function in a goroutine of its own, which stays parked if the dialog waits.
func (s *straight) start(d *Dialogue) ended {
	d.ends = make(chan ended, 1)
	go func() {
		var result any
		err := guarded(func() (err error) {
			result, err = s.run(d)
			return err
		})
		d.ends <- ended{result: result, err: err}
	}()
	return <-d.ends
}

func (s *straight) carriedOver(now *journal) (*journal, error) {
	state, err := s.hooks.migrated(s.hooks.Version, now.summary())
	if err != nil || state == nil {
		return nil, err
	}
	return now.restarted(state)
}

func (s *straight) rehearse(turn *Turn, now *journal) (Step, error) {
	if now.Waits == nil {
		return Ignored(), nil
	}
	why := s.start(&Dialogue{turn: turn, journal: now, awaited: now.Waits})
	if why.hasArrived {
		return Accept(), nil
	}
	carried, err := s.carriedOver(now)
	if err != nil || carried == nil {
		return Step{Kind: "reject"}, err
	}
	state, err := carried.toState()
	return Accept().WithState(state), err
}

func (s *straight) migrate(event Event, now *journal) (Step, error) {
	moved := now
	if s.hooks.Migrate != nil {
		// The pending answer belongs to the old run, so the new run does not get it.
		state, err := s.hooks.migrated(fromVersion(event), now.summary())
		if err != nil || state == nil {
			return Step{Kind: "reject"}, err
		}
		if moved, err = now.restarted(state); err != nil {
			return Step{}, err
		}
	}
	state, err := moved.toState()
	return Accept().WithState(state), err
}
