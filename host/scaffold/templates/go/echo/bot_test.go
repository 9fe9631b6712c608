package main

import (
	"testing"

	"turntable/turntabletest"
)

// Run it with `go test`, which needs the program `turntable` on the PATH.
func TestItRepeatsWhatTheUserSays(t *testing.T) {
	host := turntabletest.New(t, &bot)
	if texts := host.Says("hello").Texts(); len(texts) != 1 || texts[0] != "Echo: hello" {
		t.Error(texts)
	}
}
