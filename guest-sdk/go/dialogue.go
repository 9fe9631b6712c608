package turntable

import (
	"encoding/json"
	"fmt"
	"time"
)

// Dialogue is the handle of a straight-line dialog to its conversation.
//
// At each event the SDK runs the function again from the start. Operations that the journal holds return what was recorded
// and send nothing. Use state, settings and everything else outside the dialog only inside Do, and call the operations from
// the function's own goroutine, one after another.
type Dialogue struct {
	turn    *Turn
	journal *journal
	// at is the position in the journal of the next operation.
	at int
	// awaited is, in a rehearsal, the operation that the function must reach after the last entry.
	awaited *waits
	ends    chan ended
}

// ended is why a run of the function is over.
type ended struct {
	// waits and step: the function waits for an operation. step alone: the dialog ends by this step.
	waits *waits
	step  *Step
	// restarts has the state to restart with.
	restarts *any
	isEdited bool
	// hasArrived: a rehearsal has reached the operation that it awaits.
	hasArrived bool
	// result and err are what the function returned.
	result any
	err    error
}

// park ends the run. The goroutine of the function stays where it is for ever, so that the author's code cannot intercept the
// suspension, and its deferred calls do not run.
func (d *Dialogue) park(why ended) {
	d.ends <- why
	select {}
}

// Options reads what the dialog was begun with into a variable.
func (d *Dialogue) Options(target any) error { return json.Unmarshal(d.journal.Options, target) }

// State reads what the dialog was restarted with, or what a migration returned, into a variable. It returns false if there is
// none.
func (d *Dialogue) State(target any) (bool, error) {
	if d.journal.State == nil {
		return false, nil
	}
	return true, json.Unmarshal(d.journal.State, target)
}

// Ask asks and returns the answer. If the attempts are used up, the dialog ends as cancelled.
func Ask[T any](d *Dialogue, prompt Prompt[T]) T {
	answer, isAnswered := TryAsk(d, prompt)
	if !isAnswered {
		d.Cancel()
	}
	return answer
}

// TryAsk asks. It returns false if the attempts are used up.
func TryAsk[T any](d *Dialogue, prompt Prompt[T]) (answer T, isAnswered bool) {
	defined, err := prompt.define()
	if err != nil {
		d.park(ended{err: err})
	}
	text, isAnswered := d.await("ask", defined.key(), Step{Kind: "prompt", Data: defined}, nil)
	if isAnswered {
		answer, err = prompt.read(text)
		if err != nil {
			d.park(ended{err: err})
		}
	}
	return answer, isAnswered
}

// Call runs another dialog and returns its result. If it is cancelled or fails, this one is cancelled.
func Call[T any](d *Dialogue, dialog string, options any) T {
	result, isCompleted := TryCall[T](d, dialog, options)
	if !isCompleted {
		d.Cancel()
	}
	return result
}

// TryCall runs another dialog. It returns false if that is cancelled or fails.
func TryCall[T any](d *Dialogue, dialog string, options any) (result T, isCompleted bool) {
	text, isCompleted := d.await("call", dialog, CallStep(dialog, options), nil)
	if isCompleted {
		var err error
		if result, err = As[T](text); err != nil {
			d.park(ended{err: err})
		}
	}
	return result, isCompleted
}

// Hear sends a question and returns the next message, whatever it contains.
func (d *Dialogue) Hear(question any) Activity {
	activity, err := ToActivity(question)
	var asked json.RawMessage
	if err == nil {
		asked, err = Marshal(activity)
	}
	if err == nil && d.awaited == nil && d.at >= len(d.journal.Entries) {
		_, err = d.turn.Reply(activity)
	}
	if err != nil {
		d.park(ended{err: err})
	}
	text, isHeard := d.await("hear", hashed(asked), Wait(), asked)
	if !isHeard {
		d.Cancel()
	}
	heard, err := As[Activity](text)
	if err != nil {
		d.park(ended{err: err})
	}
	return heard
}

// Flush delivers what was sent so far.
func (d *Dialogue) Flush() { d.await("flush", "", FlushStep(), nil) }

// RestartWith restarts the dialog with a state and an empty journal. It does not return: `return d.RestartWith(state)`.
func (d *Dialogue) RestartWith(state any) (any, error) {
	d.park(ended{restarts: &state})
	return nil, nil
}

// Replace ends the dialog and begins another in its place. It does not return.
func (d *Dialogue) Replace(dialog string, options any) (any, error) {
	step := ReplaceStep(dialog, options)
	d.park(ended{step: &step})
	return nil, nil
}

// Cancel ends the dialog without a result. It does not return.
func (d *Dialogue) Cancel() (any, error) {
	step := Cancelled()
	d.park(ended{step: &step})
	return nil, nil
}

// Send sends a string, an Activity or an Attachment and returns its host id.
func (d *Dialogue) Send(what any) (string, error) {
	activity, err := ToActivity(what)
	if err != nil {
		return "", err
	}
	text, err := Marshal(activity)
	if err != nil {
		return "", err
	}
	return once(d, "send", hashed(text), func(string) (string, error) { return d.turn.Reply(activity) })
}

// Once is the argument of the function of Do: the turn, and a key that stays the same if the step runs again.
type Once struct {
	*Turn
	IdempotencyKey string
}

// Do runs a function once and records its result. A replay returns the recorded result. An error is not recorded.
func Do[T any](d *Dialogue, name string, run func(*Once) (T, error)) (T, error) {
	return once(d, "step", name, func(key string) (T, error) { return run(&Once{d.turn, key}) })
}

// Now returns the current time in UTC. A replay returns the recorded time.
func (d *Dialogue) Now() time.Time {
	milliseconds, err := once(d, "now", "", func(string) (int64, error) { return time.Now().UnixMilli(), nil })
	if err != nil {
		d.park(ended{err: err})
	}
	return time.UnixMilli(milliseconds).UTC()
}

// Random returns a number, the same in each replay. Do not use it as a secret.
func (d *Dialogue) Random() uint32 {
	number, err := once(d, "random", "", func(seed string) (uint32, error) { return uint32(mixed(fnv([]byte(seed))) >> 32), nil })
	if err != nil {
		d.park(ended{err: err})
	}
	return number
}

// recall returns the entry of an operation, or nil if it has none.
func (d *Dialogue) recall(kind, key string) *entry {
	if d.at < len(d.journal.Entries) {
		entry := &d.journal.Entries[d.at]
		if entry.Kind != kind || entry.Key != key {
			d.park(ended{isEdited: true})
		}
		d.at++
		return entry
	}
	if d.awaited == nil {
		return nil
	}
	hasArrived := d.awaited.Kind == kind && d.awaited.Key == key
	d.park(ended{isEdited: !hasArrived, hasArrived: hasArrived})
	return nil
}

// await returns the recorded result of an operation and true, or false if it ended without one. If it was not recorded, the
// dialog waits for it.
func (d *Dialogue) await(kind, key string, step Step, asked json.RawMessage) (json.RawMessage, bool) {
	if entry := d.recall(kind, key); entry != nil {
		return entry.Result, entry.Ended == ""
	}
	d.park(ended{waits: &waits{kind, key, asked}, step: &step})
	return nil, false
}

// once runs an operation that does not wait, or returns its recorded result.
func once[T any](d *Dialogue, kind, key string, run func(string) (T, error)) (T, error) {
	if entry := d.recall(kind, key); entry != nil {
		return As[T](entry.Result)
	}
	frame, _ := d.turn.Extra("frame")
	value, err := run(fmt.Sprintf("%s-%d-%d", frame, d.journal.Restarts, d.at))
	if err != nil {
		return value, err
	}
	text, err := Marshal(value)
	if err != nil {
		return value, err
	}
	if err := d.journal.record(kind, key, text); err != nil {
		d.park(ended{err: err})
	}
	d.at++
	// Through JSON, so that the first run sees the same value as a replay.
	return As[T](text)
}

// mixed is the finaliser of SplitMix64.
func mixed(seed uint64) uint64 {
	bits := seed + 0x9e3779b97f4a7c15
	bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9
	bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb
	return bits ^ (bits >> 31)
}
