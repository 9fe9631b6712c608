// The counterpart of plugins/travel: it books a trip. tests/spec/travel.rs holds the same conversations with both.
package main

import (
	"encoding/json"
	"strings"

	"turntable"
)

const settings = `{
	"type": "object", "additionalProperties": false,
	"properties": {
		"destinations": {
			"type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "string", "minLength": 1},
			"description": "Where trips go. Default: Lisbon, Oslo and Rome."
		}
	}
}`

var bot = turntable.Bot{
	Manifest: turntable.Manifest{
		Name: "travel", Description: "Books trips", Activities: []string{"message"}, State: []string{"user"},
		Settings: json.RawMessage(settings),
	},
	Dialogs:   []turntable.Dialog{book(), traveller()},
	OnMessage: onMessage,
}

func init() { turntable.Register(&bot) }

func main() {}

func onMessage(turn *turntable.Turn) error {
	switch strings.ToLower(turn.SpokenText()) {
	case "book", "book a trip":
		_, err := turn.Dialogs().Begin("book", nil)
		return err
	case "trips", "my trips":
		trips, _, err := turntable.UserState[[]Trip](turn, "trips").Get()
		if err != nil {
			return err
		}
		if len(trips) == 0 {
			_, err = turn.Reply(turntable.Suggest("You have no trips. Say «book» to book one.", "book"))
			return err
		}
		var lines []string
		for _, trip := range trips {
			lines = append(lines, trip.line())
		}
		_, err = turn.Reply(strings.Join(lines, "\n\n"))
		return err
	}
	return turntable.Next
}
