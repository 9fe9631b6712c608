// The counterpart of tests/guests/parity/src/lib.rs, which holds the same conversations in Rust.
package main

import "turntable"

// marker ends with the release of the plugin. tests/spec/parity.rs changes the digit in the component.
var marker = "RELEASE-1"

func init() { turntable.Register(bot(marker[len(marker)-1] - '0')) }

func main() {}
