package turntabletest

import (
	"encoding/json"
	"fmt"
	"slices"

	"turntable"
)

func (t *turn) checkDialogs() error {
	if t.manifest.Wants["dialogs"] == nil {
		return turntable.Denied("the manifest does not ask for `dialogs`")
	}
	if !t.isInHandler {
		return turntable.Denied("a dialog changes the stack by the step that it returns")
	}
	return nil
}

func (t *turn) begin(change, dialog, options string) (string, error) {
	if err := t.checkDialogs(); err != nil {
		return "", err
	}
	isKnown := false
	for _, known := range t.manifest.Dialogs {
		isKnown = isKnown || known.ID == dialog
	}
	if !isKnown {
		return "", turntable.Invalid("the manifest has no dialog `%s`", dialog)
	}
	id := fmt.Sprintf("frame-%d", t.host.memory.number())
	t.changes = append(t.changes, map[string]any{change: map[string]any{"dialog": dialog, "options": options, "id": id}})
	if change == "replace" && len(t.shown) > 0 {
		t.shown = t.shown[1:]
	}
	t.shown = append([]frame{{ID: id, Plugin: "test", Dialog: dialog, WaitsFor: "none"}}, t.shown...)
	return id, nil
}

func (t *turn) Begin(dialog, options string) (string, error) {
	return t.begin("begin", dialog, options)
}

func (t *turn) Replace(dialog, options string) (string, error) {
	return t.begin("replace", dialog, options)
}

func (t *turn) CancelAll() (int, error) {
	if err := t.checkDialogs(); err != nil {
		return 0, err
	}
	count := len(t.shown)
	t.shown = nil
	t.changes = append(t.changes, "cancel-all")
	return count, nil
}

func (t *turn) Reprompt() (bool, error) {
	if err := t.checkDialogs(); err != nil {
		return false, err
	}
	t.changes = append(t.changes, "reprompt")
	return len(t.shown) > 0 && t.shown[0].WaitsFor != "none", nil
}

func (t *turn) Stack() ([]turntable.Frame, error) { return t.shown, nil }

func (t *turn) Reference() (string, error) {
	text, err := turntable.Marshal(map[string]string{"conversation": t.host.Conversation})
	return string(text), err
}

func (t *turn) ask(asked Asked) (string, error) {
	if t.manifest.Wants["conversations"] == nil {
		return "", turntable.Denied("the manifest does not ask for `conversations`")
	}
	var content map[string]json.RawMessage
	if err := json.Unmarshal([]byte(asked.Content), &content); err != nil {
		return "", turntable.Invalid("the content is not a JSON object: %v", err)
	}
	if asked.Mode == "now" && content["dialog"] != nil {
		return "", turntable.Invalid("a dialog cannot be delivered `now`")
	}
	asked.ID = fmt.Sprint(t.host.memory.number())
	t.staged.asked = append(t.staged.asked, asked)
	return asked.ID, nil
}

func (t *turn) Notify(reference, mode, content string) (string, error) {
	return t.ask(Asked{Reference: reference, Mode: mode, Content: content})
}

func (t *turn) Schedule(name, at, reference, mode, content string) (string, error) {
	return t.ask(Asked{Name: name, At: at, Reference: reference, Mode: mode, Content: content})
}

func (t *turn) Cancel(id string) (bool, error) {
	before := len(t.staged.asked)
	t.staged.asked = slices.DeleteFunc(t.staged.asked, func(asked Asked) bool { return asked.ID == id })
	return len(t.staged.asked) < before, nil
}
