package turntable

import (
	"encoding/json"
	"strings"
)

const (
	journalEntriesMax = 1000
	journalBytesMax   = 128 << 10
)

// journal is the state of a straight-line dialog: the recorded results that a replay returns. Its JSON is the same in every
// SDK.
type journal struct {
	Options  json.RawMessage `json:"options"`
	State    json.RawMessage `json:"state,omitempty"`
	Restarts int             `json:"restarts"`
	Entries  []entry         `json:"entries"`
	Waits    *waits          `json:"waits,omitempty"`
}

type entry struct {
	Kind   string          `json:"kind"`
	Key    string          `json:"key"`
	Result json.RawMessage `json:"result"`
	// Ended is why an operation has no result.
	Ended string `json:"ended,omitempty"`
}

// waits is the operation that the dialog waits for.
type waits struct {
	Kind  string          `json:"kind"`
	Key   string          `json:"key"`
	Asked json.RawMessage `json:"asked,omitempty"`
}

// restarted returns an empty journal that continues from a state.
func (j *journal) restarted(state any) (*journal, error) {
	text, err := Marshal(state)
	return &journal{Options: j.Options, State: text, Restarts: j.Restarts + 1}, err
}

// answered records the outcome of the operation that the dialog waited for.
func (j *journal) answered(outcome Outcome) {
	if j.Waits == nil {
		return
	}
	answer := entry{Kind: j.Waits.Kind, Key: j.Waits.Key, Result: outcome.Result}
	if !outcome.IsCompleted() {
		answer.Ended = outcome.Reason
	}
	j.Entries = append(j.Entries, answer)
	j.Waits = nil
}

func (j *journal) record(kind, key string, result json.RawMessage) error {
	if len(j.Entries) >= journalEntriesMax {
		return Quota("the journal of the dialog has %d entries, which is the limit; shorten it with RestartWith", journalEntriesMax)
	}
	j.Entries = append(j.Entries, entry{Kind: kind, Key: key, Result: result})
	return nil
}

// toState returns the state of the frame.
func (j *journal) toState() (json.RawMessage, error) {
	stored := *j
	if stored.Entries == nil {
		stored.Entries = []entry{}
	}
	text, err := Marshal(stored)
	if err == nil && len(text) > journalBytesMax {
		err = Quota("the journal of the dialog has %d bytes, the limit is %d; shorten it with RestartWith", len(text), journalBytesMax)
	}
	return text, err
}

// summary returns the state for a migration hook: the last result of each name, and the state of the last restart.
func (j *journal) summary() map[string]json.RawMessage {
	names := map[string]json.RawMessage{}
	for _, entry := range j.Entries {
		if entry.Ended != "" {
			continue
		}
		_, name, isNamed := strings.Cut(entry.Key, ":")
		switch {
		case entry.Kind == "ask" && isNamed:
			names[name] = entry.Result
		case entry.Kind == "call" || entry.Kind == "step":
			names[entry.Key] = entry.Result
		}
	}
	if j.State != nil {
		names["state"] = j.State
	}
	return names
}
