// The portable handler with the SDK. tests/guests/README.md specifies it for all guest languages.
package main

import (
	"fmt"
	"strings"

	"turntable"
)

var bot = turntable.Bot{
	Manifest: turntable.Manifest{
		Name: "portable", Version: "0.1.0", Activities: []string{"message", "event"},
		Routes: []turntable.Route{{Name: "stop", Pattern: "stop", After: "none"}},
		State:  []string{"conversation", "user"}, Conversations: true,
	},
	Dialogs:   []turntable.Dialog{age()},
	OnMessage: onMessage,
	OnRoute:   onRoute,
	OnEvent:   onEvent,
	OnReceive: onReceive,
	OnSend:    onSend,
}

func init() { turntable.Register(&bot) }

func main() {}

func age() turntable.Dialog {
	hooks := turntable.Hooks{
		Validators: map[string]turntable.Validator{"adult": adult},
		OnCancelled: func(turn *turntable.Turn, reason string) error {
			_, err := turn.Reply("cancelled: " + reason)
			return err
		},
	}
	ask := func(s *turntable.WaterfallStep) (turntable.Step, error) {
		return s.Prompt(turntable.Integer{
			Question: "How old are you?", Retry: "A number, please.", Attempts: 3, Validator: "adult",
		})
	}
	ended := func(s *turntable.WaterfallStep) (turntable.Step, error) {
		if !s.Outcome.IsCompleted() {
			_, err := s.Reply("Never mind.")
			return turntable.Cancelled(), err
		}
		_, err := s.Reply(fmt.Sprintf("You are %s.", s.Outcome.Result))
		return turntable.Done(s.Outcome.Result), err
	}
	return turntable.Waterfall("age", hooks, turntable.Then(ask), turntable.Always(ended))
}

func adult(check turntable.Check, _ *turntable.Turn) (turntable.Step, error) {
	if value, err := turntable.As[float64](check.Value); err != nil || value >= 18 {
		return turntable.Accept(), err
	}
	return turntable.Reject(fmt.Sprintf("At least 18, please (%d).", check.Attempt))
}

func onEvent(turn *turntable.Turn) error {
	if turn.Meta.Trigger != "notify" {
		return turntable.Next
	}
	var value string
	if err := turn.Value(&value); err != nil {
		return err
	}
	_, err := turn.Send(turn.Meta.Trigger + " " + value)
	return err
}

func onRoute(turn *turntable.Turn, _ string) error {
	frames, err := turn.Dialogs().Frames()
	if err != nil {
		return err
	}
	waiting := ""
	for _, frame := range frames {
		waiting += " " + frame.Dialog + ":" + frame.WaitsFor
	}
	count, err := turn.Dialogs().CancelAll()
	if err != nil {
		return err
	}
	_, err = turn.Reply(fmt.Sprintf("stopped %d%s", count, waiting))
	return err
}

func onMessage(turn *turntable.Turn) error {
	if turn.Text() == "next" {
		return turntable.Next
	}
	if turn.Text() == "ask" {
		_, err := turn.Dialogs().Begin("age", nil)
		return err
	}
	answer, err := answerTo(turn)
	if err != nil {
		return err
	}
	_, err = turn.Reply(answer)
	return err
}

func answerTo(turn *turntable.Turn) (any, error) {
	meta := turn.Meta
	note := turntable.UserState[string](turn, "note")
	if text, isNote := strings.CutPrefix(turn.Text(), "note "); isNote {
		return "noted", note.Overwrite(text)
	}
	switch turn.Text() {
	case "card":
		block := map[string]string{"type": "TextBlock", "text": setting(turn, "greeting")}
		card, err := turntable.AdaptiveCard(map[string]any{"type": "AdaptiveCard", "version": "1.4", "body": []any{block}})
		return turntable.With("A card", card), err
	case "fault":
		return nil, turntable.Invalid("asked to fail")
	case "meta":
		locale := meta.Locale
		if locale == "" {
			locale = "none"
		}
		return strings.Join([]string{meta.Kind, meta.Trigger, meta.ChannelID, locale, meta.ConversationID}, " "), nil
	case "config":
		keys := strings.Join(turn.ConfigKeys(), ",")
		return fmt.Sprintf("greeting=%s missing=%s keys=%s", setting(turn, "greeting"), setting(turn, "missing"), keys), nil
	case "log":
		turn.Log("info", "portable log", "text", turn.Text())
		return "logged", nil
	case "twice":
		return twice(turn)
	case "recall":
		text, found, err := note.Get()
		if !found {
			text = "none"
		}
		return "note " + text, err
	case "forget":
		return "forgotten", note.Remove()
	case "count":
		count, err := turntable.ConversationState[int](turn, "count").Update(func(count int) int { return count + 1 })
		return fmt.Sprint(count), err
	case "later":
		return later(turn)
	}
	from := turn.Activity.From
	name := from.Name
	if name == "" {
		name = from.ID
	}
	return fmt.Sprintf("%s, %s: %s", setting(turn, "greeting"), name, turn.Text()), nil
}

func setting(turn *turntable.Turn, key string) string {
	value := "none"
	if _, err := turn.Config(key, &value); err != nil {
		return err.Error()
	}
	return value
}

func twice(turn *turntable.Turn) (any, error) {
	one, err := turn.Reply("one")
	if err != nil {
		return nil, err
	}
	two, err := turn.Send("two")
	if err != nil {
		return nil, err
	}
	return one[:3] + "," + two[:3], nil
}

func later(turn *turntable.Turn) (any, error) {
	conversations := turn.Conversations()
	here, err := conversations.Reference()
	if err != nil {
		return nil, err
	}
	if _, err := conversations.Notify(here, "when-idle", turntable.DeliverEvent("later", "now")); err != nil {
		return nil, err
	}
	dialog := turntable.DeliverDialog("age", nil)
	id, err := conversations.Schedule("far", "2999-01-01T00:00:00Z", here, "interrupt", dialog)
	if err != nil {
		return nil, err
	}
	isCancelled, err := conversations.Cancel(id)
	return fmt.Sprintf("cancelled %t", isCancelled), err
}

func onReceive(turn *turntable.Turn) (turntable.Passage, error) {
	switch turn.Text() {
	case "secret":
		return turntable.Stop, nil
	case "swap":
		swapped := turn.Activity
		swapped.Text = "swapped"
		return turntable.ReplaceWith(swapped), nil
	}
	return turntable.Pass, nil
}

func onSend(_ *turntable.Turn, activity *turntable.Activity) (turntable.Passage, error) {
	switch {
	case strings.Contains(activity.Text, "hush"):
		return turntable.Stop, nil
	case strings.Contains(activity.Text, "loud"):
		activity.Text = strings.ToUpper(activity.Text) + "!"
		return turntable.ReplaceWith(*activity), nil
	}
	return turntable.Pass, nil
}
