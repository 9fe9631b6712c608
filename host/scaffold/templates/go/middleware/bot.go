// Middleware that removes «please» from what users say, and ends every answer with an exclamation mark.
package main

import (
	"strings"

	"turntable"
)

var bot = turntable.Bot{
	OnMessage: func(turn *turntable.Turn) error {
		_, err := turn.Reply("You said: " + turn.Text())
		return err
	},
	OnReceive: func(turn *turntable.Turn) (turntable.Passage, error) {
		text, isPolite := strings.CutPrefix(turn.Text(), "please ")
		if !isPolite {
			return turntable.Pass, nil
		}
		activity := turn.Activity
		activity.Text = text
		return turntable.ReplaceWith(activity), nil
	},
	OnSend: func(_ *turntable.Turn, activity *turntable.Activity) (turntable.Passage, error) {
		if activity.Text == "" {
			return turntable.Pass, nil
		}
		activity.Text += "!"
		return turntable.ReplaceWith(*activity), nil
	},
}

func init() { turntable.Register(&bot) }

func main() {}
