package turntabletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"turntable"
)

// stateBytesMax is the default of the host.
const stateBytesMax = 256 << 10

// turn has the functions of the contract in a test, and what one turn stages.
type turn struct {
	host     *Host
	incoming turntable.Activity
	manifest struct {
		Wants   map[string]json.RawMessage `json:"wants"`
		Dialogs []struct {
			ID string `json:"id"`
		} `json:"dialogs"`
	}
	staged, committed staged
	log               []string
	isInHandler       bool
	shown             []frame
	changes           []any
}

func newTurn(host *Host, incoming turntable.Activity, manifest string) *turn {
	turn := &turn{host: host, incoming: incoming}
	turn.staged = staged{values: host.memory.values}.copy()
	turn.committed = turn.staged.copy()
	if err := json.Unmarshal([]byte(manifest), &turn.manifest); err != nil {
		host.t.Fatal(err)
	}
	return turn
}

func (t *turn) meta(trigger string, extra ...[2]string) turntable.Meta {
	return turntable.Meta{
		TurnID: "turn", BotID: "bot", ChannelID: t.incoming.ChannelID, ConversationID: t.host.Conversation,
		Kind: t.incoming.Type, Trigger: trigger, Locale: t.incoming.Locale, BudgetMS: 1000,
		Extra: append([][2]string{{"random-seed", "00112233445566778899aabbccddeeff"}, {"plugin", "test"}}, extra...),
	}
}

// answer answers a request of the testbed.
func (t *turn) answer(asked request) any {
	before := t.staged.copy()
	answer, err := t.answered(asked)
	t.isInHandler = false
	if err != nil {
		t.staged = before
		fault := turntable.FaultOf(err)
		return map[string]any{"fault": Fault{fault.Code, fault.Message, fault.Detail}}
	}
	return answer
}

func (t *turn) answered(asked request) (any, error) {
	switch {
	case asked.Handle != nil:
		t.isInHandler, t.changes, t.shown = true, []any{}, asked.Handle.Frames
		isHandled, err := t.host.plugin.OnActivity(t.meta(asked.Handle.Trigger), string(asked.Handle.Activity), t)
		flow := "next"
		if isHandled {
			flow = "handled"
		}
		return map[string]any{"flow": flow, "changes": t.changes}, err
	case asked.Dialog != nil:
		call := asked.Dialog
		meta := t.meta("dialog:"+call.Dialog, [2]string{"frame", call.Frame}, [2]string{"depth", fmt.Sprint(call.Depth)})
		event := turntable.Event{Kind: call.Event, Name: call.Dialog, Data: json.RawMessage(call.Data)}
		step, err := t.host.plugin.OnDialog(meta, event, call.State, t)
		return map[string]any{"step": map[string]any{"kind": step.Kind, "state": step.State, "data": step.Data}}, err
	case asked.Send != nil:
		_, err := t.stage(string(asked.Send), "reply")
		return map[string]any{}, err
	case asked.Flush:
		t.commit()
	case asked.Rollback:
		t.staged = t.committed.copy()
	}
	return map[string]any{}, nil
}

func (t *turn) commit() {
	t.committed = t.staged.copy()
	t.host.memory.values = t.staged.copy().values
}

func (t *turn) end(ended end) *Answer {
	if ended.Frames != nil && string(ended.Frames) != "null" {
		t.host.memory.frames[t.host.Conversation] = ended.Frames
	}
	t.commit()
	response := t.staged.response
	if response == nil && t.incoming.Type == "invoke" {
		response = &Response{Status: 501}
		if ended.Fault != nil {
			response.Status = 500
		}
	}
	return &Answer{
		IsHandled: ended.Flow == "handled", Fault: ended.Fault, Sent: t.staged.sent, Response: response, Log: t.log,
		Asked: t.staged.asked, Stack: ended.Stack,
	}
}

func (t *turn) stage(text, sentAs string) (string, error) {
	var activity turntable.Activity
	if err := json.Unmarshal([]byte(text), &activity); err != nil || activity.Type == "" {
		return "", turntable.Invalid("the activity has no `type`")
	}
	if activity.Type == "invokeResponse" {
		return "", turntable.Invalid("only the host sends `invokeResponse`")
	}
	activity.ID, activity.Timestamp = "", ""
	activity.From, activity.Conversation, activity.ChannelID = t.incoming.Recipient, t.incoming.Conversation, t.incoming.ChannelID
	if activity.Recipient == nil {
		activity.Recipient = t.incoming.From
	}
	if activity.Locale == "" {
		activity.Locale = t.incoming.Locale
	}
	if sentAs == "reply" && activity.ReplyToID == "" {
		activity.ReplyToID = t.incoming.ID
	}
	id := fmt.Sprintf("tt-%026d", t.host.memory.number())
	t.staged.sent = append(t.staged.sent, Sent{id, sentAs, activity})
	return id, nil
}

func (t *turn) Reply(activity string) (string, error) { return t.stage(activity, "reply") }
func (t *turn) Send(activity string) (string, error)  { return t.stage(activity, "send") }

func (t *turn) Update(id, activity string) error {
	var read turntable.Activity
	if err := json.Unmarshal([]byte(activity), &read); err != nil {
		return turntable.Invalid("the activity has no `type`")
	}
	return t.change(id, "update", read)
}

func (t *turn) Delete(id string) error { return t.change(id, "delete", turntable.Activity{}) }

func (t *turn) change(id, sentAs string, activity turntable.Activity) error {
	isSent := slices.ContainsFunc(t.staged.sent, func(sent Sent) bool { return sent.ID == id })
	if id == "" || len(id) > 3 && id[:3] == "tt-" && !isSent {
		return turntable.Invalid("no activity has the id `%s`", id)
	}
	t.staged.sent = append(t.staged.sent, Sent{id, sentAs, activity})
	return nil
}

func (t *turn) Flush() error {
	if !t.isInHandler {
		return turntable.Denied("return the step `flush` instead")
	}
	t.commit()
	return nil
}

func (t *turn) Respond(status uint32, body *string) error {
	if t.incoming.Type != "invoke" {
		return turntable.Invalid("the turn is no invoke")
	}
	if status < 200 || status > 599 {
		return turntable.Invalid("the status %d is not between 200 and 599", status)
	}
	t.staged.response = &Response{Status: int(status)}
	if body != nil {
		t.staged.response.Body = json.RawMessage(*body)
	}
	return nil
}

// place checks the grant and the key of a value, and returns its place in the memory.
func (t *turn) place(scope, key string) (string, error) {
	var scopes []string
	_ = json.Unmarshal(t.manifest.Wants["state"], &scopes) // Absent: no scope.
	if !slices.Contains(scopes, scope) {
		return "", turntable.Denied("the manifest does not ask for state of `%s`: add it to Manifest.State", scope)
	}
	if len(key) < 1 || len(key) > 256 {
		return "", turntable.Invalid("a key has 1 to 256 bytes, this one has %d", len(key))
	}
	return t.host.place(scope, key), nil
}

func (t *turn) check(place, key string, etag *string) error {
	if etag != nil && *etag != t.staged.values[place].Etag {
		return &turntable.Fault{Code: "conflict", Message: "the value of `" + key + "` is not the one that the etag names"}
	}
	return nil
}

func (t *turn) StateGet(scope, key string) (*turntable.Entry, error) {
	place, err := t.place(scope, key)
	if entry, found := t.staged.values[place]; err == nil && found {
		return &entry, nil
	}
	return nil, err
}

func (t *turn) StateSet(scope, key, value string, etag *string) (string, error) {
	place, err := t.place(scope, key)
	if err == nil {
		err = t.check(place, key, etag)
	}
	if err == nil && len(value)+len(key) > stateBytesMax {
		err = turntable.Quota("state-bytes-per-scope (%d)", stateBytesMax)
	}
	if err != nil {
		return "", err
	}
	entry := turntable.Entry{Value: value, Etag: fmt.Sprint(t.host.memory.number())}
	t.staged.values[place] = entry
	return entry.Etag, nil
}

func (t *turn) StateRemove(scope, key string, etag *string) error {
	place, err := t.place(scope, key)
	if err == nil {
		err = t.check(place, key, etag)
	}
	if err == nil {
		delete(t.staged.values, place)
	}
	return err
}

func (t *turn) ConfigGet(key string) (string, bool) {
	value, found := t.host.Settings[key]
	text, err := turntable.Marshal(value)
	if err != nil {
		t.host.t.Fatal(err)
	}
	return string(text), found
}

func (t *turn) ConfigKeys() []string {
	keys := []string{}
	for key := range t.host.Settings {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func (t *turn) Log(level, message string, fields [][2]string) {
	line := level + " " + message
	for _, field := range fields {
		line += " " + field[0] + "=" + field[1]
	}
	t.log = append(t.log, line)
}
