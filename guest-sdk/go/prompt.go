package turntable

import (
	"encoding/json"
)

// Prompt is a question that the host asks and whose answer it recognizes and validates, in the language of the user. T is the
// type of the answer. Text, Number, Integer, Confirm, Choice, DateTime and Files are prompts.
//
// Their common fields: Question is a string or an Activity. Name identifies the question in the journal of a straight-line
// dialog, so that its text can be edited while conversations wait for the answer. Retry is the question after an answer that
// was not understood. Attempts limits the answers, Validator names a validator of the dialog, and Locale is the language if
// the user's is unknown.
type Prompt[T any] interface {
	Asker
	read(json.RawMessage) (T, error)
}

// Asker is a prompt whatever the type of its answer.
type Asker interface{ define() (definition, error) }

// Text asks for a text. The answer is trimmed and has at least one character.
type Text struct {
	Question, Retry         any
	Name, Validator, Locale string
	Attempts                int
	MinLength, MaxLength    int
	// Pattern must match the whole answer.
	Pattern string
}

// Number asks for a number.
type Number struct {
	Question, Retry         any
	Name, Validator, Locale string
	Attempts                int
	Min, Max                *float64
}

// Integer asks for a whole number.
type Integer struct {
	Question, Retry         any
	Name, Validator, Locale string
	Attempts                int
	Min, Max                *float64
}

// Confirm asks for yes or no. Words, exactly two, replace those of the language.
type Confirm struct {
	Question, Retry         any
	Name, Validator, Locale string
	Attempts                int
	Words                   []Option
	Style                   string
}

// Choice asks for one of 1 to 100 choices. NoOrdinals and NoFuzzy make it stricter.
type Choice struct {
	Question, Retry         any
	Name, Validator, Locale string
	Attempts                int
	Choices                 []Option
	Style                   string
	NoOrdinals, NoFuzzy     bool
}

// DateTime asks for a date, a time or both. TimeZone is the zone of a user whose activity names none, and DateOrder is
// "day-month" or "month-day".
type DateTime struct {
	Question, Retry         any
	Name, Validator, Locale string
	Attempts                int
	// Types has "date", "time" and "date-time". Nil: all.
	Types               []string
	Earliest, Latest    string
	TimeZone, DateOrder string
}

// Files asks for one or more attachments.
type Files struct {
	Question, Retry         any
	Name, Validator, Locale string
	Attempts                int
	ContentTypes            []string
	MaxCount                int
}

// Option is one choice. Title is shown instead of the value, and synonyms choose it too.
type Option struct {
	Value    string
	Title    string
	Synonyms []string
	Action   *CardAction
}

// Options returns choices that have only a value.
func Options(values ...string) []Option {
	options := make([]Option, len(values))
	for index, value := range values {
		options[index].Value = value
	}
	return options
}

// MarshalJSON writes the choice as the contract has it.
func (o Option) MarshalJSON() ([]byte, error) {
	if o.Title == "" && o.Synonyms == nil && o.Action == nil {
		return Marshal(o.Value)
	}
	return Marshal(struct {
		Value    string      `json:"value"`
		Title    string      `json:"title,omitempty"`
		Synonyms []string    `json:"synonyms,omitempty"`
		Action   *CardAction `json:"action,omitempty"`
	}{o.Value, o.Title, o.Synonyms, o.Action})
}

// Chosen is the answer to a Choice: its value, its position from 0, how well it matches (0 to 1), and the words that matched.
type Chosen struct {
	Value   string  `json:"value"`
	Index   int     `json:"index"`
	Score   float64 `json:"score"`
	Synonym string  `json:"synonym"`
}

// Moment is the answer to a DateTime. Type is "date", "time" or "date-time", and Value is ISO 8601 without an offset.
type Moment struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// definition is a prompt as the contract has it, with the name that identifies it in a journal.
type definition struct {
	name         string
	Kind         string          `json:"kind"`
	Prompt       json.RawMessage `json:"prompt,omitempty"`
	Retry        json.RawMessage `json:"retry,omitempty"`
	Attempts     int             `json:"attempts,omitempty"`
	Validator    string          `json:"validator,omitempty"`
	Locale       string          `json:"locale,omitempty"`
	MinLength    int             `json:"min-length,omitempty"`
	MaxLength    int             `json:"max-length,omitempty"`
	Pattern      string          `json:"pattern,omitempty"`
	Min          *float64        `json:"min,omitempty"`
	Max          *float64        `json:"max,omitempty"`
	Integer      bool            `json:"integer,omitempty"`
	Choices      *[]Option       `json:"choices,omitempty"`
	Style        string          `json:"style,omitempty"`
	Ordinals     *bool           `json:"ordinals,omitempty"`
	Fuzzy        *bool           `json:"fuzzy,omitempty"`
	Types        []string        `json:"types,omitempty"`
	Earliest     string          `json:"earliest,omitempty"`
	Latest       string          `json:"latest,omitempty"`
	TimeZone     string          `json:"time-zone,omitempty"`
	DateOrder    string          `json:"date-order,omitempty"`
	ContentTypes []string        `json:"content-types,omitempty"`
	MaxCount     int             `json:"max-count,omitempty"`
}

// key returns the key of the question in a journal.
func (d definition) key() string {
	if d.name != "" {
		return d.Kind + ":" + d.name
	}
	return d.Kind + "#" + hashed(d.Prompt)
}

func (d definition) with(question, retry any) (definition, error) {
	var err error
	if d.Prompt, err = say(question); err == nil {
		d.Retry, err = say(retry)
	}
	return d, err
}

func (p Text) define() (definition, error) {
	return definition{
		Kind: "text", name: p.Name, Attempts: p.Attempts, Validator: p.Validator, Locale: p.Locale,
		MinLength: p.MinLength, MaxLength: p.MaxLength, Pattern: p.Pattern,
	}.with(p.Question, p.Retry)
}

func (p Number) define() (definition, error) {
	return definition{
		Kind: "number", name: p.Name, Attempts: p.Attempts, Validator: p.Validator, Locale: p.Locale,
		Min: p.Min, Max: p.Max,
	}.with(p.Question, p.Retry)
}

func (p Integer) define() (definition, error) {
	return definition{
		Kind: "number", name: p.Name, Attempts: p.Attempts, Validator: p.Validator, Locale: p.Locale,
		Min: p.Min, Max: p.Max, Integer: true,
	}.with(p.Question, p.Retry)
}

func (p Confirm) define() (definition, error) {
	defined := definition{
		Kind: "confirm", name: p.Name, Attempts: p.Attempts, Validator: p.Validator, Locale: p.Locale, Style: p.Style,
	}
	if p.Words != nil {
		defined.Choices = &p.Words
	}
	return defined.with(p.Question, p.Retry)
}

func (p Choice) define() (definition, error) {
	choices := append([]Option{}, p.Choices...)
	defined := definition{
		Kind: "choice", name: p.Name, Attempts: p.Attempts, Validator: p.Validator, Locale: p.Locale, Style: p.Style,
		Choices: &choices,
	}
	if p.NoOrdinals {
		defined.Ordinals = Ptr(false)
	}
	if p.NoFuzzy {
		defined.Fuzzy = Ptr(false)
	}
	return defined.with(p.Question, p.Retry)
}

func (p DateTime) define() (definition, error) {
	return definition{
		Kind: "date-time", name: p.Name, Attempts: p.Attempts, Validator: p.Validator, Locale: p.Locale,
		Types: p.Types, Earliest: p.Earliest, Latest: p.Latest, TimeZone: p.TimeZone, DateOrder: p.DateOrder,
	}.with(p.Question, p.Retry)
}

func (p Files) define() (definition, error) {
	return definition{
		Kind: "attachment", name: p.Name, Attempts: p.Attempts, Validator: p.Validator, Locale: p.Locale,
		ContentTypes: p.ContentTypes, MaxCount: p.MaxCount,
	}.with(p.Question, p.Retry)
}

func (Text) read(answer json.RawMessage) (string, error)        { return As[string](answer) }
func (Number) read(answer json.RawMessage) (float64, error)     { return As[float64](answer) }
func (Integer) read(answer json.RawMessage) (int, error)        { return As[int](answer) }
func (Confirm) read(answer json.RawMessage) (bool, error)       { return As[bool](answer) }
func (Choice) read(answer json.RawMessage) (Chosen, error)      { return As[Chosen](answer) }
func (DateTime) read(answer json.RawMessage) (Moment, error)    { return As[Moment](answer) }
func (Files) read(answer json.RawMessage) ([]Attachment, error) { return As[[]Attachment](answer) }

// say writes a question that has only a text as a text, because that is shorter in a stored frame.
func say(question any) (json.RawMessage, error) {
	if question == nil {
		return nil, nil
	}
	activity, err := ToActivity(question)
	if err != nil {
		return nil, err
	}
	text, err := Marshal(activity)
	if err != nil {
		return nil, err
	}
	if plain, _ := Marshal(Message(activity.Text)); activity.Text != "" && string(plain) == string(text) {
		return Marshal(activity.Text)
	}
	return text, nil
}
