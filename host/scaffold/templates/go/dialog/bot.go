// A bot that takes orders, and remembers how many each user has.
package main

import (
	"fmt"
	"strings"

	"turntable"
)

var bot = turntable.Bot{
	Manifest: turntable.Manifest{Activities: []string{"message"}, State: []string{"user"}},
	Dialogs:  []turntable.Dialog{turntable.StraightLine("order", turntable.Hooks{}, order)},
	OnMessage: func(turn *turntable.Turn) (err error) {
		if strings.EqualFold(turn.SpokenText(), "order") {
			_, err = turn.Dialogs().Begin("order", nil)
		} else {
			_, err = turn.Reply("Say «order» to order something.")
		}
		return err
	},
}

// order runs again from the start after each answer. The SDK skips what it has done already.
func order(d *turntable.Dialogue) (any, error) {
	what := turntable.Ask(d, turntable.Text{Question: "What would you like?", Name: "what"})
	count := turntable.Ask(d, turntable.Integer{
		Question: "How many?", Name: "count", Min: turntable.Ptr(1.0), Retry: "A whole number from 1, please.",
	})
	if !turntable.Ask(d, turntable.Confirm{Question: fmt.Sprintf("%d × %s?", count, what), Name: "sure"}) {
		return d.Send("Nothing is ordered.")
	}
	orders, err := turntable.Do(d, "keep", func(once *turntable.Once) (int, error) {
		return turntable.UserState[int](once.Turn, "orders").Update(func(orders int) int { return orders + 1 })
	})
	if err != nil {
		return nil, err
	}
	word := "orders"
	if orders == 1 {
		word = "order"
	}
	return d.Send(fmt.Sprintf("Ordered. You have %d %s.", orders, word))
}

func init() { turntable.Register(&bot) }

func main() {}
