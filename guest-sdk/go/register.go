//go:build !wasip1

package turntable

// Register makes a bot the bot of the component. Outside a component, such as in tests, it does nothing.
func Register(*Bot) {}
