// A bot that repeats what the user says.
package main

import "turntable"

var bot = turntable.Bot{
	OnMessage: func(turn *turntable.Turn) error {
		_, err := turn.Reply("Echo: " + turn.Text())
		return err
	},
}

func init() { turntable.Register(&bot) }

func main() {}
