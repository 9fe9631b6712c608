package turntable

import (
	"encoding/json"
	"errors"
)

// Plugin is a bot with the functions that the contract exports. Components and test hosts call it.
type Plugin struct {
	bot      *Bot
	dialogs  map[string]Dialog
	declared []declared
}

// NewPlugin returns the plugin of a bot.
func NewPlugin(bot *Bot) *Plugin {
	plugin := &Plugin{bot: bot, dialogs: map[string]Dialog{}}
	for _, dialog := range bot.Dialogs {
		if _, found := plugin.dialogs[dialog.ID()]; !found {
			plugin.dialogs[dialog.ID()] = dialog
			plugin.declared = append(plugin.declared, declared{dialog.ID(), dialog.Version()})
		}
	}
	return plugin
}

// Describe returns the manifest.
func (p *Plugin) Describe() (string, error) {
	return p.bot.Manifest.text(p.declared, p.bot.intercepts())
}

// OnActivity handles one activity. It returns true if the activity is handled.
func (p *Plugin) OnActivity(meta Meta, activity string, host Host) (isHandled bool, err error) {
	err = guarded(func() error {
		turn := &Turn{Meta: meta, host: host}
		if err := json.Unmarshal([]byte(activity), &turn.Activity); err != nil {
			return Invalid("the activity is not a JSON object: %v", err)
		}
		if p.bot.OnTurn != nil {
			return p.bot.OnTurn(turn)
		}
		return p.bot.Dispatch(turn)
	})
	if errors.Is(err, Next) {
		return false, nil
	}
	return err == nil, err
}

// WrittenStep is a step with its state and data as JSON text. A nil state leaves the stored state unchanged.
type WrittenStep struct {
	Kind  string
	State *string
	Data  string
}

// OnDialog handles one event of a dialog.
func (p *Plugin) OnDialog(meta Meta, event Event, state *string, host Host) (written WrittenStep, err error) {
	err = guarded(func() error {
		dialog := p.dialogs[event.Name]
		if dialog == nil {
			return Invalid("there is no dialog `%s`", event.Name)
		}
		turn := &Turn{Meta: meta, host: host}
		if event.Kind == "continue" {
			if err := json.Unmarshal(event.Data, &turn.Activity); err != nil {
				return Invalid("the activity is not a JSON object: %v", err)
			}
		}
		var stored json.RawMessage
		if state != nil {
			stored = json.RawMessage(*state)
		}
		step, err := dialog.OnEvent(turn, event, stored)
		if err != nil {
			return err
		}
		if step.Kind == "" {
			return Invalid("the dialog `%s` returned no step for `%s`", event.Name, event.Kind)
		}
		written, err = step.written()
		return err
	})
	return written, err
}

func (s Step) written() (WrittenStep, error) {
	data, err := Marshal(s.Data)
	if err != nil {
		return WrittenStep{}, err
	}
	written := WrittenStep{Kind: s.Kind, Data: string(data)}
	if s.State != nil {
		state, err := Marshal(s.State)
		if err != nil {
			return WrittenStep{}, err
		}
		text := string(state)
		written.State = &text
	}
	return written, nil
}

// OnEvent handles one event of middleware.
func (p *Plugin) OnEvent(meta Meta, event Event, host Host) (written WrittenStep, err error) {
	err = guarded(func() error {
		meta.Extra = append(append([][2]string{}, meta.Extra...), [2]string{"sender", event.Name})
		turn := &Turn{Meta: meta, Activity: Activity{Type: meta.Kind}, host: host}
		passage, isKnown, err := p.pass(turn, event)
		if err != nil {
			return err
		}
		step := Step{Kind: "ignored"}
		switch {
		case !isKnown:
		case passage.kind == "":
			step.Kind = "pass"
		case passage.activity != nil:
			step = Step{Kind: passage.kind, Data: passage.activity}
		default:
			step.Kind = passage.kind
		}
		written, err = step.written()
		return err
	})
	return written, err
}

func (p *Plugin) pass(turn *Turn, event Event) (passage Passage, isKnown bool, err error) {
	var activity Activity
	var about struct{ ID, Outcome string }
	switch event.Kind {
	case "receive", "send", "update":
		err = json.Unmarshal(event.Data, &activity)
	default:
		err = json.Unmarshal(event.Data, &about)
	}
	if err != nil {
		return Pass, false, Invalid("the event `%s` has other data: %v", event.Kind, err)
	}
	bot := p.bot
	switch {
	case event.Kind == "receive" && bot.OnReceive != nil:
		turn.Activity = activity
		passage, err = bot.OnReceive(turn)
	case event.Kind == "send" && bot.OnSend != nil:
		passage, err = bot.OnSend(turn, &activity)
	case event.Kind == "update" && bot.OnUpdate != nil:
		passage, err = bot.OnUpdate(turn, &activity)
	case event.Kind == "delete" && bot.OnDelete != nil:
		passage, err = bot.OnDelete(turn, about.ID)
	case event.Kind == "turn-end" && bot.AfterTurn != nil:
		err = bot.AfterTurn(turn, about.Outcome)
	default:
		return Pass, false, nil
	}
	return passage, true, err
}
