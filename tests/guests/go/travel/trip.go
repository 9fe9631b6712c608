package main

import (
	"fmt"
	"strings"

	"turntable"
)

// Trip is what the bot books.
type Trip struct {
	To         string      `json:"to"`
	Day        string      `json:"day"`
	Travellers []Traveller `json:"travellers"`
}

// Traveller is one person of a trip.
type Traveller struct {
	Name     string `json:"name"`
	Passport string `json:"passport"`
}

func (t Trip) names() string {
	var names []string
	for _, traveller := range t.Travellers {
		names = append(names, traveller.Name)
	}
	return strings.Join(names, ", ")
}

func (t Trip) line() string { return fmt.Sprintf("%s on %s, for %s", t.To, t.Day, t.names()) }

func (t Trip) card() (turntable.Activity, error) {
	var passports []string
	for _, traveller := range t.Travellers {
		passports = append(passports, traveller.Passport)
	}
	card, err := turntable.HeroCard{
		Title: "Your trip to " + t.To, Subtitle: "On " + t.Day,
		Text: fmt.Sprintf("For %s. Passports: %s.", t.names(), strings.Join(passports, ", ")),
	}.Attachment()
	message := turntable.With("", card)
	message.Summary = t.line()
	return message, err
}
