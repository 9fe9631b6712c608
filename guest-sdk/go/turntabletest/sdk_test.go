// What the SDK does for handlers, state, invokes, middleware and mistakes.
package turntabletest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"turntable"
	"turntable/turntabletest"
)

func on(message func(*turntable.Turn) error) *turntable.Bot {
	return &turntable.Bot{OnMessage: message}
}

func expect(t *testing.T, answer *turntabletest.Answer, texts ...string) {
	t.Helper()
	if !slices.Equal(answer.Texts(), texts) {
		t.Errorf("answers %q, expected %q, fault %+v", answer.Texts(), texts, answer.Fault)
	}
}

func TestAnActivityWithoutAHandlerGoesOn(t *testing.T) {
	if turntabletest.New(t, &turntable.Bot{}).Says("hi").IsHandled {
		t.Error("it is handled")
	}
	next := on(func(*turntable.Turn) error { return turntable.Next })
	if answer := turntabletest.New(t, next).Says("hi"); answer.IsHandled || answer.Fault != nil {
		t.Error(answer)
	}
}

func TestAPanicNamesItsFileAndLine(t *testing.T) {
	bot := on(func(turn *turntable.Turn) error {
		_, _ = turn.Reply("gone")
		var none map[string]int
		none["x"] = 1
		return nil
	})
	answer := turntabletest.New(t, bot).Says("hi")
	if answer.Fault == nil || answer.Fault.Code != "internal" || !strings.Contains(answer.Fault.Message, "sdk_test.go:") {
		t.Errorf("%+v", answer.Fault)
	}
	expect(t, answer)
}

func TestUnknownAndEmptyMembersAreKept(t *testing.T) {
	text := `{"type":"message","text":"","speak":null,"from":{"id":"a","x":1},"new":{"half":"\ud83d","big":12345678901234567890}}`
	var activity turntable.Activity
	if err := json.Unmarshal([]byte(text), &activity); err != nil {
		t.Fatal(err)
	}
	written, err := turntable.Marshal(activity)
	expected := `{"type":"message","from":{"id":"a","x":1},"new":{"half":"\ud83d","big":12345678901234567890},"speak":null,"text":""}`
	if err != nil || string(written) != expected {
		t.Errorf("%s %v", written, err)
	}
}

func TestAnInvokeGetsTheResponseOfItsHandler(t *testing.T) {
	bot := &turntable.Bot{OnAdaptiveCardAction: func(_ *turntable.Turn, action turntable.Action) (*turntable.Response, error) {
		if action.Verb == "save" {
			return turntable.MessageResponse("Saved"), nil
		}
		return nil, nil
	}}
	press := func(value string) int {
		invoke := turntable.Activity{Type: "invoke", Name: "adaptiveCard/action", Value: json.RawMessage(value)}
		return turntabletest.New(t, bot).Takes(invoke).Response.Status
	}
	for value, status := range map[string]int{
		`{"action":{"type":"Action.Execute","verb":"save"}}`: 200, `{"action":{"type":"Action.Execute","verb":"x"}}`: 501, `{}`: 400,
	} {
		if got := press(value); got != status {
			t.Errorf("%s: %d", value, got)
		}
	}
}

func TestStateNeedsItsGrantAndEachUserHasTheirOwn(t *testing.T) {
	bot := on(func(turn *turntable.Turn) error {
		count, err := turntable.UserState[int](turn, "n").Update(func(n int) int { return n + 1 })
		if err == nil {
			_, err = turn.Reply(strings.Repeat("x", count))
		}
		return err
	})
	if fault := turntabletest.New(t, bot).Says("hi").Fault; fault == nil || fault.Code != "denied" {
		t.Error(fault)
	}
	bot.Manifest.State = []string{"user"}
	host := turntabletest.New(t, bot)
	expect(t, host.Says("hi"), "x")
	expect(t, host.Says("hi"), "xx")
	host.User = "ann"
	expect(t, host.Says("hi"), "x")
}

func TestMembersThatJoinAreGreetedButNotTheBot(t *testing.T) {
	bot := &turntable.Bot{OnMembersAdded: func(turn *turntable.Turn, members []turntable.Account) error {
		_, err := turn.Reply("Hi " + members[0].ID)
		return err
	}}
	joined := []turntable.Account{{ID: "bot"}, {ID: "ann"}}
	expect(t, turntabletest.New(t, bot).Takes(turntable.Activity{Type: "conversationUpdate", MembersAdded: joined}), "Hi ann")
}

func TestWhatIsNoActivityIsRefused(t *testing.T) {
	bot := on(func(turn *turntable.Turn) error {
		_, err := turn.Reply(5)
		return err
	})
	if fault := turntabletest.New(t, bot).Says("hi").Fault; !strings.Contains(fault.Message, "int is not an activity") {
		t.Error(fault)
	}
}

func TestMiddlewareReplacesAndStops(t *testing.T) {
	bot := &turntable.Bot{OnSend: func(_ *turntable.Turn, activity *turntable.Activity) (turntable.Passage, error) {
		if activity.Text == "no" {
			return turntable.Stop, nil
		}
		activity.Text += "!"
		return turntable.ReplaceWith(*activity), nil
	}}
	host := turntabletest.New(t, bot)
	if kind, data := host.Hook("send", `{"type":"message","text":"yes"}`); kind != "replace" || !strings.Contains(data, "yes!") {
		t.Error(kind, data)
	}
	if kind, _ := host.Hook("send", `{"type":"message","text":"no"}`); kind != "stop" {
		t.Error(kind)
	}
	if kind, _ := host.Hook("receive", `{"type":"message"}`); kind != "ignored" {
		t.Error(kind)
	}
}

func TestAStepThatReturnsNothingIsNamed(t *testing.T) {
	nothing := turntable.Then(func(*turntable.WaterfallStep) (turntable.Step, error) { return turntable.Step{}, nil })
	bot := on(func(turn *turntable.Turn) error {
		_, err := turn.Dialogs().Begin("order", nil)
		return err
	})
	bot.Dialogs = []turntable.Dialog{turntable.Waterfall("order", turntable.Hooks{}, nothing)}
	fault := turntabletest.New(t, bot).Says("hi").Fault
	if fault == nil || !strings.Contains(fault.Message, "step 1 of the dialog `order` returned no step") {
		t.Error(fault)
	}
}

func TestTimeAndRandomAreRecorded(t *testing.T) {
	seen := []any{}
	dialog := turntable.StraightLine("order", turntable.Hooks{}, func(d *turntable.Dialogue) (any, error) {
		seen = append(seen, d.Now(), d.Random())
		return turntable.Ask(d, turntable.Text{Question: "What?"}), nil
	})
	bot := on(func(turn *turntable.Turn) error {
		_, err := turn.Dialogs().Begin("order", nil)
		return err
	})
	bot.Dialogs = []turntable.Dialog{dialog}
	host := turntabletest.New(t, bot)
	expect(t, host.Says("hi"), "What?")
	host.Says("tea")
	if len(seen) != 4 || seen[0] != seen[2] || seen[1] != seen[3] {
		t.Error(seen)
	}
}
