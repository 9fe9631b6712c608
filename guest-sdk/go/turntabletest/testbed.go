package turntabletest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// testbed is the connection to the command `turntable testbed`, which leads the turns of all tests of the process.
type testbed struct {
	lock   sync.Mutex
	input  io.Writer
	output *bufio.Reader
}

var shared = sync.OnceValues(func() (*testbed, error) {
	program := os.Getenv("TURNTABLE")
	if program == "" {
		program = "turntable"
	}
	command := exec.Command(program, "testbed")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("`%s` could not start (%w); the test host needs the program `turntable`: put it on the PATH, "+
			"or set TURNTABLE to its file", program, err)
	}
	return &testbed{input: input, output: bufio.NewReader(output)}, nil
})

// lead leads a turn. The function answers the requests of the testbed.
func (t *testbed) lead(begun any, answer func(request) any) (end, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	var message any = map[string]any{"turn": begun}
	for {
		if err := json.NewEncoder(t.input).Encode(message); err != nil {
			return end{}, fmt.Errorf("`turntable testbed` ended: %w", err)
		}
		line, err := t.output.ReadBytes('\n')
		if err != nil {
			return end{}, fmt.Errorf("`turntable testbed` ended in the middle of a turn: %w", err)
		}
		var asked request
		if err := json.Unmarshal(line, &asked); err != nil {
			return end{}, fmt.Errorf("`turntable testbed` wrote %s: %w", line, err)
		}
		if asked.End != nil {
			return *asked.End, nil
		}
		message = answer(asked)
	}
}

// request is a line of the testbed.
type request struct {
	Handle *struct {
		Trigger  string          `json:"trigger"`
		Activity json.RawMessage `json:"activity"`
		Frames   []frame         `json:"frames"`
	} `json:"handle"`
	Dialog *struct {
		Event  string  `json:"event"`
		Dialog string  `json:"dialog"`
		Data   string  `json:"data"`
		State  *string `json:"state"`
		Frame  string  `json:"frame"`
		Depth  int     `json:"depth"`
	} `json:"dialog"`
	Send     json.RawMessage `json:"send"`
	Flush    bool            `json:"flush"`
	Rollback bool            `json:"rollback"`
	End      *end            `json:"end"`
}

// end is what a turn ended with.
type end struct {
	Flow   string          `json:"flow"`
	Fault  *Fault          `json:"fault"`
	Frames json.RawMessage `json:"frames"`
	Stack  []frame         `json:"stack"`
}
