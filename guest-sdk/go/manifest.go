package turntable

import (
	"encoding/json"
	"regexp"
	"runtime/debug"
	"strings"
)

// Manifest is what a bot declares.
type Manifest struct {
	// Name and Version default to the last part of the module's path and to 0.0.0.
	Name, Version, Description string
	// Activities are the types of activities that reach the handlers. Nil: all.
	Activities []string
	// Routes are the global handlers.
	Routes []Route
	// State has the scopes of state that the bot uses: "conversation", "user", "private", "bot".
	State []string
	// Conversations asks for Turn.Conversations.
	Conversations bool
	// Dialogs asks for Turn.Dialogs. Bots with dialogs always ask for it.
	Dialogs bool
	// Wants has further grants by name.
	Wants map[string]any
	// Settings is a JSON schema of the settings.
	Settings json.RawMessage
}

// Route is a global handler: a pattern that must match the whole text of a message (syntax of the Rust crate regex, which
// is almost that of Go).
type Route struct {
	Name    string   `json:"name"`
	Pattern string   `json:"pattern"`
	Locales []string `json:"locales,omitempty"`
	// Score is from 0 to 1. Nil: 0.5.
	Score *float64 `json:"score,omitempty"`
	Order int      `json:"order,omitempty"`
	// Confirm is a question that the host asks before the route interrupts a dialog.
	Confirm string `json:"confirm,omitempty"`
	// After is "reprompt" (the default) or "none": what happens to the interrupted dialog afterwards.
	After string `json:"after,omitempty"`
}

// Ptr returns a pointer to a value, for optional members.
func Ptr[T any](value T) *T { return &value }

type declared struct {
	ID      string `json:"id"`
	Version int    `json:"state-version"`
}

// text returns the manifest as the host reads it.
func (m Manifest) text(dialogs []declared, intercepts []string) (string, error) {
	wants := map[string]any{}
	for name, want := range m.Wants {
		wants[name] = want
	}
	roles := []string{"handler"}
	if m.Dialogs || len(dialogs) > 0 {
		wants["dialogs"] = true
	}
	if len(dialogs) > 0 {
		roles = append(roles, "dialogs")
	}
	if len(intercepts) > 0 {
		wants["middleware"] = true
		roles = append(roles, "middleware")
	}
	if len(m.State) > 0 {
		wants["state"] = m.State
	}
	if m.Conversations {
		wants["conversations"] = true
	}
	name, version := m.Name, m.Version
	if name == "" {
		name = moduleName()
	}
	if version == "" {
		version = "0.0.0"
	}
	text, err := Marshal(struct {
		Name        string          `json:"name"`
		Version     string          `json:"version"`
		Description string          `json:"description,omitempty"`
		Roles       []string        `json:"roles"`
		Activities  *[]string       `json:"activities,omitempty"`
		Routes      []Route         `json:"routes,omitempty"`
		Dialogs     []declared      `json:"dialogs,omitempty"`
		Intercepts  []string        `json:"intercepts,omitempty"`
		Wants       map[string]any  `json:"wants"`
		Settings    json.RawMessage `json:"settings,omitempty"`
	}{name, version, m.Description, roles, optional(m.Activities), m.Routes, dialogs, intercepts, wants, m.Settings})
	return string(text), err
}

func optional(activities []string) *[]string {
	if activities == nil {
		return nil
	}
	return &activities
}

// moduleName returns the last part of the path of the author's module, as a name of the contract.
func moduleName() string {
	name := "bot"
	if info, found := debug.ReadBuildInfo(); found && info.Main.Path != "" {
		name = info.Main.Path[strings.LastIndex(info.Main.Path, "/")+1:]
	}
	name = strings.Trim(regexp.MustCompile("[^a-z0-9]+").ReplaceAllString(strings.ToLower(name), "-"), "-")
	if name == "" {
		return "bot"
	}
	return name[:min(len(name), 64)]
}
