package turntable

// Host has the functions that the contract gives a plugin. The component has those of the host, the package turntabletest
// those of a test. Texts of activities, values, options and contents are JSON.
type Host interface {
	Reply(activity string) (string, error)
	Send(activity string) (string, error)
	Update(id, activity string) error
	Delete(id string) error
	Flush() error
	Respond(status uint32, body *string) error

	StateGet(scope, key string) (*Entry, error)
	StateSet(scope, key, value string, etag *string) (string, error)
	StateRemove(scope, key string, etag *string) error

	ConfigGet(key string) (string, bool)
	ConfigKeys() []string
	Log(level, message string, fields [][2]string)

	Begin(dialog, options string) (string, error)
	Replace(dialog, options string) (string, error)
	CancelAll() (int, error)
	Reprompt() (bool, error)
	Stack() ([]Frame, error)

	Reference() (string, error)
	Notify(reference, mode, content string) (string, error)
	Schedule(name, at, reference, mode, content string) (string, error)
	Cancel(id string) (bool, error)
}

// Entry is a stored value with its etag.
type Entry struct{ Value, Etag string }

// Frame is one dialog on the stack.
type Frame struct {
	ID     string `json:"id"`
	Plugin string `json:"plugin"`
	Dialog string `json:"dialog"`
	// WaitsFor is "message", "prompt:KIND", "child" or "none".
	WaitsFor string `json:"waitsFor"`
}
