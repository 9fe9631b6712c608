package turntable

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

// Fault is an error with a code of the contract. The host returns one for a call that it refuses, and a handler returns one
// to fail with a code of its choice. Any other error of a handler becomes a fault with the code "internal". The host then
// discards what the handler sent.
type Fault struct {
	// Code is "denied", "quota", "deadline", "conflict", "invalid", "unavailable", "internal", or a later code.
	Code string
	// Message is one sentence for the author, without data of users.
	Message string
	// RetryAfterMS is how long to wait before another attempt, in milliseconds. Zero: unknown.
	RetryAfterMS uint32
	// Detail is for the log, such as a stack trace.
	Detail string
}

// Error returns the code and the message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Invalid returns the fault for a wrong argument. The message should say which one and why.
func Invalid(format string, args ...any) error {
	return &Fault{Code: "invalid", Message: fmt.Sprintf(format, args...)}
}

// Denied returns the fault for something that the plugin or the user may not do.
func Denied(format string, args ...any) error {
	return &Fault{Code: "denied", Message: fmt.Sprintf(format, args...)}
}

// Quota returns the fault for a limit that was exceeded. The message should name the limit.
func Quota(format string, args ...any) error {
	return &Fault{Code: "quota", Message: fmt.Sprintf(format, args...)}
}

// Internal returns the fault for a defect.
func Internal(format string, args ...any) error {
	return &Fault{Code: "internal", Message: fmt.Sprintf(format, args...)}
}

// FaultOf returns the fault that the contract carries for an error.
func FaultOf(err error) *Fault {
	var fault *Fault
	if errors.As(err, &fault) {
		if text := err.Error(); text != fault.Error() {
			copied := *fault
			copied.Detail = strings.TrimSpace(text + "\n" + fault.Detail)
			return &copied
		}
		return fault
	}
	return &Fault{Code: "internal", Message: err.Error()}
}

// guarded runs a function of the author and turns a panic into a fault that names its file and line.
func guarded(run func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked(cause, string(debug.Stack()))
		}
	}()
	return run()
}

func panicked(cause any, stack string) error {
	if fault, ok := cause.(*Fault); ok {
		return fault
	}
	frames := framesOf(stack)
	where := ""
	if len(frames) > 0 {
		where = " (" + frames[0] + ")"
	}
	return &Fault{
		Code:    "internal",
		Message: fmt.Sprintf("panic: %v%s", cause, where),
		Detail:  fmt.Sprintf("panic: %v\n\tat %s", cause, strings.Join(frames, "\n\tat ")),
	}
}

// framesOf returns the author's frames of a stack, innermost first: those after the panic that belong to neither Go nor the
// SDK.
func framesOf(stack string) []string {
	if _, after, found := strings.Cut(stack, "\npanic("); found {
		stack = "panic(" + after
	}
	var frames []string
	name := ""
	for _, line := range strings.Split(stack, "\n") {
		if !strings.HasPrefix(line, "\t") {
			name = line
			continue
		}
		place, _, _ := strings.Cut(strings.TrimSpace(line), " +0x")
		is := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if is("turntable.") || is("turntable/turntabletest.") || is("runtime") || is("created by") || is("testing.") || is("panic(") {
			continue
		}
		frames = append(frames, place)
	}
	return frames
}
