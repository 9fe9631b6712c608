package turntable

import (
	"encoding/json"
	"errors"
)

// Dispatch calls the handlers of the turn's activity. OnTurn calls it for what it does not handle itself.
func (b *Bot) Dispatch(turn *Turn) error {
	if route := turn.Route(); route != "" {
		if b.OnRoute != nil {
			return b.OnRoute(turn, route)
		}
		return simple(b.OnMessage, turn)
	}
	switch turn.Activity.Type {
	case "message":
		return simple(b.OnMessage, turn)
	case "messageUpdate":
		return simple(b.OnMessageUpdate, turn)
	case "messageDelete":
		return simple(b.OnMessageDelete, turn)
	case "endOfConversation":
		return simple(b.OnEndOfConversation, turn)
	case "typing":
		return simple(b.OnTyping, turn)
	case "command":
		return simple(b.OnCommand, turn)
	case "commandResult":
		return simple(b.OnCommandResult, turn)
	case "conversationUpdate":
		return b.conversationUpdate(turn)
	case "messageReaction":
		return b.messageReaction(turn)
	case "installationUpdate":
		return b.installationUpdate(turn)
	case "event":
		return b.event(turn)
	case "invoke":
		return b.invoke(turn)
	}
	return simple(b.OnUnrecognized, turn)
}

func simple(handler func(*Turn) error, turn *Turn) error {
	if handler == nil {
		return Next
	}
	return handler(turn)
}

func (b *Bot) conversationUpdate(turn *Turn) error {
	if err := simple(b.OnConversationUpdate, turn); !errors.Is(err, Next) {
		return err
	}
	activity := &turn.Activity
	if added := activity.others(activity.MembersAdded); len(added) > 0 {
		if b.OnMembersAdded == nil {
			return Next
		}
		return b.OnMembersAdded(turn, added)
	}
	if removed := activity.others(activity.MembersRemoved); len(removed) > 0 && b.OnMembersRemoved != nil {
		return b.OnMembersRemoved(turn, removed)
	}
	return Next
}

func (b *Bot) messageReaction(turn *Turn) error {
	if err := simple(b.OnMessageReaction, turn); !errors.Is(err, Next) {
		return err
	}
	flow := Next
	if added := turn.Activity.ReactionsAdded; len(added) > 0 && b.OnReactionsAdded != nil {
		err := b.OnReactionsAdded(turn, added)
		if err != nil && !errors.Is(err, Next) {
			return err
		}
		flow = err
	}
	if removed := turn.Activity.ReactionsRemoved; len(removed) > 0 && b.OnReactionsRemoved != nil {
		if err := b.OnReactionsRemoved(turn, removed); !errors.Is(err, Next) {
			return err
		}
	}
	return flow
}

func (b *Bot) installationUpdate(turn *Turn) error {
	if err := simple(b.OnInstallationUpdate, turn); !errors.Is(err, Next) {
		return err
	}
	switch turn.Activity.Action {
	case "add", "add-upgrade":
		return simple(b.OnInstallationAdded, turn)
	case "remove", "remove-upgrade":
		return simple(b.OnInstallationRemoved, turn)
	}
	return Next
}

func (b *Bot) event(turn *Turn) error {
	err := simple(b.OnEvent, turn)
	if !errors.Is(err, Next) || turn.Activity.Name != "tokens/response" || b.OnTokenResponse == nil {
		return err
	}
	return b.OnTokenResponse(turn, turn.Activity.Value)
}

func (b *Bot) invoke(turn *Turn) error {
	var answer *Response
	var err error
	if b.OnInvoke != nil {
		answer, err = b.OnInvoke(turn)
	}
	if answer == nil && (err == nil || errors.Is(err, Next)) {
		answer, err = b.namedInvoke(turn)
	}
	if err != nil {
		return err
	}
	if answer == nil {
		return Next
	}
	return turn.Respond(*answer)
}

func (b *Bot) namedInvoke(turn *Turn) (*Response, error) {
	value := turn.Activity.Value
	switch name := turn.Activity.Name; {
	case name == "adaptiveCard/action" && b.OnAdaptiveCardAction != nil:
		action, wrong := cardAction(value)
		if wrong != nil {
			return wrong, nil
		}
		return b.OnAdaptiveCardAction(turn, action)
	case name == "application/search" && b.OnSearch != nil:
		search, wrong := search(value, turn.Meta.ChannelID)
		if wrong != nil {
			return wrong, nil
		}
		return b.OnSearch(turn, search)
	case name == "signin/verifyState" && b.OnSignInVerify != nil:
		var read struct{ State string }
		_ = json.Unmarshal(value, &read) // A wrong value is an empty state, which no sign-in has.
		return b.OnSignInVerify(turn, read.State)
	case name == "signin/tokenExchange" && b.OnSignInExchange != nil:
		return b.OnSignInExchange(turn, value)
	}
	return nil, nil
}
