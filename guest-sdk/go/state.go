package turntable

// Stored is a value that outlives the turn. It remembers the etag that it was read with: if another turn changes the value
// meanwhile, the host runs this turn again. It needs the grant "state": Manifest{State: []string{"user"}}.
type Stored[T any] struct {
	host       Host
	scope, key string
	etag       string
	wasRead    bool
}

// ConversationState returns a value that all users of this conversation share.
func ConversationState[T any](t *Turn, key string) *Stored[T] {
	return StateOf[T](t, "conversation", key)
}

// UserState returns a value of the user, in all conversations of the channel.
func UserState[T any](t *Turn, key string) *Stored[T] { return StateOf[T](t, "user", key) }

// PrivateState returns a value of the user in this conversation.
func PrivateState[T any](t *Turn, key string) *Stored[T] { return StateOf[T](t, "private", key) }

// BotState returns a value that all conversations of the bot share.
func BotState[T any](t *Turn, key string) *Stored[T] { return StateOf[T](t, "bot", key) }

// StateOf returns a value of the scope with this name.
func StateOf[T any](t *Turn, scope, key string) *Stored[T] {
	return &Stored[T]{host: t.host, scope: scope, key: key}
}

// Get returns the value, or the zero value and false if there is none.
func (s *Stored[T]) Get() (value T, found bool, err error) {
	entry, err := s.host.StateGet(s.scope, s.key)
	if err != nil {
		return value, false, err
	}
	s.wasRead = true
	if entry == nil {
		s.etag = ""
		return value, false, nil
	}
	s.etag = entry.Etag
	value, err = As[T]([]byte(entry.Value))
	return value, true, err
}

// Set writes the value. If another turn changed it after it was read, the host runs this turn again.
func (s *Stored[T]) Set(value T) error {
	if !s.wasRead {
		if _, _, err := s.Get(); err != nil {
			return err
		}
	}
	return s.write(value, &s.etag)
}

// Overwrite writes the value, whatever it was before.
func (s *Stored[T]) Overwrite(value T) error { return s.write(value, nil) }

// Update reads the value, writes what change returns, and returns it. A value that does not exist is the zero value.
func (s *Stored[T]) Update(change func(T) T) (T, error) {
	value, _, err := s.Get()
	if err != nil {
		return value, err
	}
	value = change(value)
	return value, s.Set(value)
}

// Remove removes the value.
func (s *Stored[T]) Remove() error {
	if !s.wasRead {
		if _, _, err := s.Get(); err != nil {
			return err
		}
	}
	etag := s.etag
	err := s.host.StateRemove(s.scope, s.key, &etag)
	if err == nil {
		s.etag = ""
	}
	return err
}

func (s *Stored[T]) write(value T, etag *string) error {
	text, err := Marshal(value)
	if err != nil {
		return err
	}
	written, err := s.host.StateSet(s.scope, s.key, string(text), etag)
	if err == nil {
		s.etag, s.wasRead = written, true
	}
	return err
}
