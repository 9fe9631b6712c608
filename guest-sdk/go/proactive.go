package turntable

// Conversations makes deliveries. It needs the grant "conversations": Manifest{Conversations: true}.
type Conversations struct{ host Host }

// Delivery is what a notification or a timer delivers: an activity, an event or a dialog.
type Delivery struct{ content any }

// DeliverActivity delivers what Turn.Reply accepts.
func DeliverActivity(what any) (Delivery, error) {
	activity, err := ToActivity(what)
	return Delivery{map[string]any{"activity": activity}}, err
}

// DeliverEvent delivers an event to the handlers of the bot.
func DeliverEvent(name string, value any) Delivery {
	return Delivery{map[string]any{"event": map[string]any{"name": name, "value": value}}}
}

// DeliverDialog begins a dialog of this plugin.
func DeliverDialog(dialog string, options any) Delivery {
	return Delivery{map[string]any{"dialog": dialog, "options": options}}
}

// Reference returns the reference of this conversation, which may be stored.
func (c Conversations) Reference() (string, error) { return c.host.Reference() }

// Notify delivers "now", "when-idle", or with "interrupt" or "cancel". It returns the id of the delivery.
func (c Conversations) Notify(reference, mode string, delivery Delivery) (string, error) {
	text, err := Marshal(delivery.content)
	if err != nil {
		return "", err
	}
	return c.host.Notify(reference, mode, string(text))
}

// Schedule delivers at a time: RFC 3339, or a cron expression followed by a time zone. It returns the id of the timer. A timer
// replaces one of the same name in the same conversation.
func (c Conversations) Schedule(name, at, reference, mode string, delivery Delivery) (string, error) {
	text, err := Marshal(delivery.content)
	if err != nil {
		return "", err
	}
	return c.host.Schedule(name, at, reference, mode, string(text))
}

// Cancel cancels a delivery or timer. It returns false if it was delivered already or never existed.
func (c Conversations) Cancel(id string) (bool, error) { return c.host.Cancel(id) }
