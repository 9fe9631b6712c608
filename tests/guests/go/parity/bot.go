package main

import (
	"fmt"
	"strings"

	"turntable"
)

type (
	step = turntable.WaterfallStep
	then = turntable.Step
)

// bot returns the bot of a release of the plugin.
func bot(release byte) *turntable.Bot {
	dialogs := []turntable.Dialog{order(), trip(), seats(), listens{}, ignores{}}
	dialogs = append(append(append(dialogs, small()...), prompts()...), versioned(release)...)
	return &turntable.Bot{
		Manifest: turntable.Manifest{
			Name: "parity",
			Routes: []turntable.Route{
				{Name: "help", Pattern: "help"},
				{Name: "quiet", Pattern: "quiet", After: "none"},
				{Name: "aside", Pattern: "aside"},
				{Name: "again", Pattern: "again", After: "none"},
				{Name: "cancel", Pattern: "cancel"},
				{Name: "leave", Pattern: "leave", Confirm: "Leave it?"},
				{Name: "stack", Pattern: "stack", After: "none"},
			},
		},
		Dialogs:   dialogs,
		OnMessage: onMessage,
		OnRoute:   onRoute,
		OnEvent: func(turn *turntable.Turn) error {
			_, err := turn.Reply("event " + turn.Activity.Name)
			return err
		},
	}
}

func onMessage(turn *turntable.Turn) error {
	command, dialog, _ := strings.Cut(turn.Text(), " ")
	var err error
	switch command {
	case "begin":
		_, err = turn.Dialogs().Begin(dialog, map[string]string{"by": "message"})
	case "replace":
		_, err = turn.Dialogs().Replace(dialog, nil)
	case "fault":
		err = turntable.Internal("broken")
	default:
		_, err = turn.Reply("heard " + turn.Text())
	}
	return err
}

func onRoute(turn *turntable.Turn, name string) error {
	said := name
	switch name {
	case "aside":
		_, err := turn.Dialogs().Begin("aside", nil)
		return err
	case "again":
		isAsked, err := turn.Dialogs().Reprompt()
		if err != nil {
			return err
		}
		said = fmt.Sprint(isAsked)
	case "cancel", "leave":
		count, err := turn.Dialogs().CancelAll()
		if err != nil {
			return err
		}
		said = fmt.Sprintf("cancelled %d", count)
	case "stack":
		frames, err := turn.Dialogs().Frames()
		if err != nil {
			return err
		}
		var names []string
		for _, frame := range frames {
			names = append(names, frame.Dialog+":"+frame.WaitsFor)
		}
		said = strings.Join(names, " ")
	}
	_, err := turn.Reply(said)
	return err
}
