//go:build wasip1

package turntable

import (
	"runtime/debug"
	"unsafe"
)

// registered is the plugin of the component. Register sets it before main packages are initialized completely.
var registered *Plugin

// Register makes a bot the bot of the component. Call it from a function init.
func Register(bot *Bot) {
	// A collection asks the host for the time, which is a trap while the host passes texts. An instance serves one turn, and
	// its memory has a bound.
	debug.SetGCPercent(-1)
	registered = NewPlugin(bot)
}

// kept holds the memory that crossed the contract, so that the garbage collector keeps it. An instance serves one turn.
var kept []any

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, newSize uint32) unsafe.Pointer {
	// Words of eight bytes have every alignment that the contract needs.
	words := make([]uint64, (newSize+7)/8+1)
	kept = append(kept, words)
	moved := unsafe.Pointer(unsafe.SliceData(words))
	if old != nil {
		copy(unsafe.Slice((*byte)(moved), newSize), unsafe.Slice((*byte)(old), min(oldSize, newSize)))
	}
	return moved
}

// text is a string in linear memory.
type text struct{ data, size uint32 }

func (t text) read() string {
	if t.size == 0 {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(t.data))), t.size)
}

func write(value string) text {
	if value == "" {
		return text{}
	}
	kept = append(kept, value)
	return text{uint32(uintptr(unsafe.Pointer(unsafe.StringData(value)))), uint32(len(value))}
}

// option is an option<string> in linear memory.
type option struct {
	isSome uint32
	text   text
}

func (o option) read() *string {
	if o.isSome&0xff == 0 {
		return nil
	}
	value := o.text.read()
	return &value
}

func writeOption(value *string) option {
	if value == nil {
		return option{}
	}
	return option{1, write(*value)}
}

// wireMeta is the record turn-meta.
type wireMeta struct {
	turn, bot, channel, conversation, kind, trigger text
	locale                                          option
	budget                                          uint32
	extra                                           text
}

func (m *wireMeta) read() Meta {
	locale := ""
	if read := m.locale.read(); read != nil {
		locale = *read
	}
	var extra [][2]string
	if m.extra.size > 0 {
		for _, pair := range unsafe.Slice((*[2]text)(unsafe.Pointer(uintptr(m.extra.data))), m.extra.size) {
			extra = append(extra, [2]string{pair[0].read(), pair[1].read()})
		}
	}
	return Meta{
		TurnID: m.turn.read(), BotID: m.bot.read(), ChannelID: m.channel.read(),
		ConversationID: m.conversation.read(), Kind: m.kind.read(), Trigger: m.trigger.read(),
		Locale: locale, BudgetMS: m.budget, Extra: extra,
	}
}

// wireEvent is the record event.
type wireEvent struct{ kind, name, data text }

func (e *wireEvent) read() Event { return Event{e.kind.read(), e.name.read(), []byte(e.data.read())} }

// result is any result<T, fault> of the contract: a discriminant and ten words for the value or the fault.
type result struct {
	isError uint32
	words   [10]uint32
}

func (r *result) text(at int) text { return text{r.words[at], r.words[at+1]} }

// err returns the fault of a call of the host.
func (r *result) err() error {
	if r.isError&0xff == 0 {
		return nil
	}
	fault := &Fault{Code: r.text(0).read(), Message: r.text(2).read()}
	if r.words[4]&0xff == 1 {
		fault.RetryAfterMS = r.words[5]
	}
	if detail := (option{r.words[6], r.text(7)}).read(); detail != nil {
		fault.Detail = *detail
	}
	return fault
}

// fail makes the result a fault.
func (r *result) fail(err error) {
	fault := FaultOf(err)
	r.isError = 1
	code, message := write(fault.Code), write(fault.Message)
	copy(r.words[:], []uint32{code.data, code.size, message.data, message.size})
	if fault.RetryAfterMS != 0 {
		r.words[4], r.words[5] = 1, fault.RetryAfterMS
	}
	if fault.Detail != "" {
		detail := write(fault.Detail)
		copy(r.words[6:], []uint32{1, detail.data, detail.size})
	}
}

func (r *result) pass() unsafe.Pointer {
	kept = append(kept, r)
	return unsafe.Pointer(r)
}

//go:wasmexport turntable:bot/bot-handler@0.1.0#describe
func describe() unsafe.Pointer {
	if registered == nil {
		panic("the plugin has no bot: call turntable.Register in a function init")
	}
	manifest, err := registered.Describe()
	if err != nil {
		panic(err)
	}
	written := write(manifest)
	kept = append(kept, &written)
	return unsafe.Pointer(&written)
}

//go:wasmexport turntable:bot/bot-handler@0.1.0#on-activity
func onActivity(arguments unsafe.Pointer) unsafe.Pointer {
	read := (*struct {
		meta     wireMeta
		activity text
	})(arguments)
	answer := &result{}
	isHandled, err := registered.OnActivity(read.meta.read(), read.activity.read(), imports{})
	switch {
	case err != nil:
		answer.fail(err)
	case isHandled:
		answer.words[0] = 1
	}
	return answer.pass()
}

//go:wasmexport turntable:bot/dialog-handler@0.1.0#on-dialog
func onDialog(arguments unsafe.Pointer) unsafe.Pointer {
	read := (*struct {
		meta  wireMeta
		event wireEvent
		state option
	})(arguments)
	step, err := registered.OnDialog(read.meta.read(), read.event.read(), read.state.read(), imports{})
	return writeStep(step, err)
}

//go:wasmexport turntable:bot/middleware@0.1.0#on-event
func onEvent(arguments unsafe.Pointer) unsafe.Pointer {
	read := (*struct {
		meta  wireMeta
		event wireEvent
	})(arguments)
	step, err := registered.OnEvent(read.meta.read(), read.event.read(), imports{})
	return writeStep(step, err)
}

func writeStep(step WrittenStep, err error) unsafe.Pointer {
	answer := &result{}
	if err != nil {
		answer.fail(err)
		return answer.pass()
	}
	kind, state, data := write(step.Kind), writeOption(step.State), write(step.Data)
	copy(answer.words[:], []uint32{
		kind.data, kind.size, state.isSome, state.text.data, state.text.size, data.data, data.size,
	})
	return answer.pass()
}
