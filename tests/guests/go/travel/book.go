package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"turntable"
)

const (
	travellersMax = 4
	// attempts is the number of wrong answers to one question after which the booking ends.
	attempts = 5
)

func book() turntable.Dialog {
	return turntable.StraightLine("book", turntable.Hooks{
		Validators: map[string]turntable.Validator{"not-in-winter": notInWinter},
		OnCancelled: func(turn *turntable.Turn, _ string) error {
			_, err := turn.Reply("No trip was booked.")
			return err
		},
	}, runBook)
}

func runBook(d *turntable.Dialogue) (any, error) {
	trip, isPlanned, err := plan(d)
	if err != nil {
		return nil, err
	}
	if !isPlanned {
		return giveUp(d, "I did not understand that, so no trip was booked. Say «book» to begin again.")
	}
	card, err := trip.card()
	if err != nil {
		return nil, err
	}
	if _, err := d.Send(card); err != nil {
		return nil, err
	}
	if !turntable.Ask(d, turntable.Confirm{Question: "Shall I book it?", Name: "sure", Attempts: attempts}) {
		return giveUp(d, "All right, nothing is booked.")
	}
	_, err = turntable.Do(d, "keep", func(once *turntable.Once) (any, error) {
		trips := turntable.UserState[[]Trip](once.Turn, "trips")
		_, err := trips.Update(func(trips []Trip) []Trip { return append(trips, trip) })
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	_, err = d.Send("Booked: " + trip.line() + ".")
	return trip, err
}

func giveUp(d *turntable.Dialogue, text string) (any, error) {
	if _, err := d.Send(text); err != nil {
		return nil, err
	}
	return d.Cancel()
}

// plan asks for everything that a trip needs. It returns false if the attempts at a question were used up.
func plan(d *turntable.Dialogue) (trip Trip, isPlanned bool, err error) {
	destinations, err := turntable.Do(d, "destinations", func(once *turntable.Once) ([]string, error) {
		places := []string{"Lisbon", "Oslo", "Rome"}
		_, err := once.Config("destinations", &places)
		return places, err
	})
	if err != nil {
		return trip, false, err
	}
	to, isAnswered := turntable.TryAsk(d, turntable.Choice{
		Question: "Where to?", Choices: turntable.Options(destinations...), Name: "to", Attempts: attempts,
		Retry: "I do not go there. Where to?",
	})
	if !isAnswered {
		return trip, false, nil
	}
	day, isAnswered := turntable.TryAsk(d, turntable.DateTime{
		Question: fmt.Sprintf("When do you want to go to %s?", to.Value), Name: "day", Types: []string{"date"},
		Earliest: "today", Attempts: attempts, Validator: "not-in-winter",
		Retry: "Which day from now on? «2026-12-24» and «tomorrow» both work.",
	})
	if !isAnswered {
		return trip, false, nil
	}
	count, isAnswered := turntable.TryAsk(d, turntable.Integer{
		Question: "How many of you are there?", Name: "count", Min: turntable.Ptr(1.0),
		Max: turntable.Ptr(float64(travellersMax)), Attempts: attempts,
		Retry: fmt.Sprintf("A whole number from 1 to %d, please.", travellersMax),
	})
	trip = Trip{To: to.Value, Day: day.Value}
	for number := 1; isAnswered && number <= count; number++ {
		var traveller Traveller
		traveller, isAnswered = turntable.TryCall[Traveller](d, "traveller", map[string]int{"number": number, "of": count})
		trip.Travellers = append(trip.Travellers, traveller)
	}
	return trip, isAnswered, nil
}

func notInWinter(check turntable.Check, _ *turntable.Turn) (turntable.Step, error) {
	day, err := turntable.As[turntable.Moment](check.Value)
	if err != nil {
		return turntable.Step{}, err
	}
	switch strings.Split(day.Value, "-")[1] {
	case "12", "01", "02":
		return turntable.Reject("We do not travel in winter. Another day?")
	}
	return turntable.Accept(), nil
}

func traveller() turntable.Dialog {
	return turntable.Waterfall("traveller", turntable.Hooks{},
		turntable.Then(askName), turntable.Then(askPassport), turntable.Then(keep))
}

func askName(step *turntable.WaterfallStep) (turntable.Step, error) {
	var options struct{ Number, Of int }
	if err := json.Unmarshal(step.Options, &options); err != nil {
		return turntable.Step{}, err
	}
	question := "What is your name?"
	if options.Of > 1 {
		question = fmt.Sprintf("What is the name of traveller %d?", options.Number)
	}
	return step.Prompt(turntable.Text{
		Question: question, MinLength: 2, MaxLength: 80, Attempts: attempts, Retry: "Two letters at least, please.",
	})
}

func askPassport(step *turntable.WaterfallStep) (turntable.Step, error) {
	var name string
	if err := step.Result(&name); err != nil {
		return turntable.Step{}, err
	}
	if err := step.Keep("name", name); err != nil {
		return turntable.Step{}, err
	}
	return step.Prompt(turntable.Files{
		Question:     fmt.Sprintf("A picture of the passport of %s, please.", name),
		ContentTypes: []string{"image/*", "application/pdf"}, MaxCount: 1, Attempts: attempts,
		Retry: "One picture or PDF, please.",
	})
}

func keep(step *turntable.WaterfallStep) (turntable.Step, error) {
	var files []turntable.Attachment
	if err := step.Result(&files); err != nil {
		return turntable.Step{}, err
	}
	traveller := Traveller{Passport: "received"}
	for _, name := range []string{files[0].ContentURL, files[0].Name} {
		if name != "" {
			traveller.Passport = name
		}
	}
	if err := step.Kept("name", &traveller.Name); err != nil {
		return turntable.Step{}, err
	}
	return step.Done(traveller)
}
