//go:build wasip1

package turntable

import "unsafe"

//go:wasmimport turntable:bot/turn@0.1.0 reply
func hostReply(activity string, result unsafe.Pointer)

//go:wasmimport turntable:bot/turn@0.1.0 send
func hostSend(activity string, result unsafe.Pointer)

//go:wasmimport turntable:bot/turn@0.1.0 update
func hostUpdate(id, activity string, result unsafe.Pointer)

//go:wasmimport turntable:bot/turn@0.1.0 delete
func hostDelete(id string, result unsafe.Pointer)

//go:wasmimport turntable:bot/turn@0.1.0 flush
func hostFlush(result unsafe.Pointer)

//go:wasmimport turntable:bot/turn@0.1.0 respond
func hostRespond(status, hasBody uint32, body string, result unsafe.Pointer)

//go:wasmimport turntable:bot/state@0.1.0 get
func hostStateGet(scope, key string, result unsafe.Pointer)

//go:wasmimport turntable:bot/state@0.1.0 set
func hostStateSet(scope, key, value string, hasEtag uint32, etag string, result unsafe.Pointer)

//go:wasmimport turntable:bot/state@0.1.0 remove
func hostStateRemove(scope, key string, hasEtag uint32, etag string, result unsafe.Pointer)

//go:wasmimport turntable:bot/config@0.1.0 get
func hostConfigGet(key string, value unsafe.Pointer)

//go:wasmimport turntable:bot/config@0.1.0 keys
func hostConfigKeys(keys unsafe.Pointer)

//go:wasmimport turntable:bot/log@0.1.0 write
func hostLog(level, message string, fields unsafe.Pointer, count uint32)

//go:wasmimport turntable:bot/dialogs@0.1.0 begin
func hostBegin(dialog, options string, result unsafe.Pointer)

//go:wasmimport turntable:bot/dialogs@0.1.0 replace
func hostReplace(dialog, options string, result unsafe.Pointer)

//go:wasmimport turntable:bot/dialogs@0.1.0 cancel-all
func hostCancelAll(result unsafe.Pointer)

//go:wasmimport turntable:bot/dialogs@0.1.0 reprompt
func hostReprompt(result unsafe.Pointer)

//go:wasmimport turntable:bot/dialogs@0.1.0 stack
func hostStack(result unsafe.Pointer)

//go:wasmimport turntable:bot/conversations@0.1.0 reference
func hostReference(result unsafe.Pointer)

//go:wasmimport turntable:bot/conversations@0.1.0 notify
func hostNotify(reference, mode, content string, result unsafe.Pointer)

//go:wasmimport turntable:bot/conversations@0.1.0 schedule
func hostSchedule(name, at, reference, mode, content string, result unsafe.Pointer)

//go:wasmimport turntable:bot/conversations@0.1.0 cancel
func hostCancel(id string, result unsafe.Pointer)

// imports is the host of a component.
type imports struct{}

// called makes a call of the host, and returns its result and its fault.
func called(call func(unsafe.Pointer)) (*result, error) {
	answer := &result{}
	call(unsafe.Pointer(answer))
	return answer, answer.err()
}

// calledForText makes a call of the host that returns a text.
func calledForText(call func(unsafe.Pointer)) (string, error) {
	answer, err := called(call)
	if err != nil {
		return "", err
	}
	return answer.text(0).read(), nil
}

func flat(value *string) (uint32, string) {
	if value == nil {
		return 0, ""
	}
	return 1, *value
}

func (imports) Reply(activity string) (string, error) {
	return calledForText(func(result unsafe.Pointer) { hostReply(activity, result) })
}

func (imports) Send(activity string) (string, error) {
	return calledForText(func(result unsafe.Pointer) { hostSend(activity, result) })
}

func (imports) Update(id, activity string) error {
	_, err := called(func(result unsafe.Pointer) { hostUpdate(id, activity, result) })
	return err
}

func (imports) Delete(id string) error {
	_, err := called(func(result unsafe.Pointer) { hostDelete(id, result) })
	return err
}

func (imports) Flush() error {
	_, err := called(hostFlush)
	return err
}

func (imports) Respond(status uint32, body *string) error {
	has, text := flat(body)
	_, err := called(func(result unsafe.Pointer) { hostRespond(status, has, text, result) })
	return err
}

func (imports) StateGet(scope, key string) (*Entry, error) {
	answer, err := called(func(result unsafe.Pointer) { hostStateGet(scope, key, result) })
	if err != nil || answer.words[0]&0xff == 0 {
		return nil, err
	}
	return &Entry{answer.text(1).read(), answer.text(3).read()}, nil
}

func (imports) StateSet(scope, key, value string, etag *string) (string, error) {
	has, text := flat(etag)
	return calledForText(func(result unsafe.Pointer) { hostStateSet(scope, key, value, has, text, result) })
}

func (imports) StateRemove(scope, key string, etag *string) error {
	has, text := flat(etag)
	_, err := called(func(result unsafe.Pointer) { hostStateRemove(scope, key, has, text, result) })
	return err
}

func (imports) ConfigGet(key string) (string, bool) {
	value := &option{}
	hostConfigGet(key, unsafe.Pointer(value))
	if read := value.read(); read != nil {
		return *read, true
	}
	return "", false
}

func (imports) ConfigKeys() []string {
	list := &text{}
	hostConfigKeys(unsafe.Pointer(list))
	keys := make([]string, 0, list.size)
	if list.size > 0 {
		for _, key := range unsafe.Slice((*text)(unsafe.Pointer(uintptr(list.data))), list.size) {
			keys = append(keys, key.read())
		}
	}
	return keys
}

func (imports) Log(level, message string, fields [][2]string) {
	pairs := make([][2]text, len(fields)+1)
	for index, field := range fields {
		pairs[index] = [2]text{write(field[0]), write(field[1])}
	}
	hostLog(level, message, unsafe.Pointer(unsafe.SliceData(pairs)), uint32(len(fields)))
}

func (imports) Begin(dialog, options string) (string, error) {
	return calledForText(func(result unsafe.Pointer) { hostBegin(dialog, options, result) })
}

func (imports) Replace(dialog, options string) (string, error) {
	return calledForText(func(result unsafe.Pointer) { hostReplace(dialog, options, result) })
}

func (imports) CancelAll() (int, error) {
	answer, err := called(hostCancelAll)
	if err != nil {
		return 0, err
	}
	return int(answer.words[0]), nil
}

func (imports) Reprompt() (bool, error) {
	answer, err := called(hostReprompt)
	return err == nil && answer.words[0]&0xff == 1, err
}

func (imports) Stack() ([]Frame, error) {
	answer, err := called(hostStack)
	if err != nil {
		return nil, err
	}
	list := answer.text(0)
	frames := make([]Frame, 0, list.size)
	if list.size > 0 {
		for _, it := range unsafe.Slice((*[4]text)(unsafe.Pointer(uintptr(list.data))), list.size) {
			frames = append(frames, Frame{it[0].read(), it[1].read(), it[2].read(), it[3].read()})
		}
	}
	return frames, nil
}

func (imports) Reference() (string, error) { return calledForText(hostReference) }

func (imports) Notify(reference, mode, content string) (string, error) {
	return calledForText(func(result unsafe.Pointer) { hostNotify(reference, mode, content, result) })
}

func (imports) Schedule(name, at, reference, mode, content string) (string, error) {
	return calledForText(func(result unsafe.Pointer) { hostSchedule(name, at, reference, mode, content, result) })
}

func (imports) Cancel(id string) (bool, error) {
	answer, err := called(func(result unsafe.Pointer) { hostCancel(id, result) })
	return err == nil && answer.words[0]&0xff == 1, err
}
