package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// roleArg is the first argument of a child process; the second is its [task].
const roleArg = "bench-role"

// A task is what a child process is to do.
type task struct {
	Role  string `json:"role"`
	Dir   string `json:"dir"` // of the certificate authority
	Addr  string `json:"addr,omitempty"`
	Conns int    `json:"conns,omitempty"`
	// Far is the far end of HTTP v1, for what stands between; TokenAddr is where
	// it gives access tokens. Rate is how many messages a second are sent; 0: as
	// many as are answered.
	Far       string `json:"far,omitempty"`
	TokenAddr string `json:"token_addr,omitempty"`
	Rate      int    `json:"rate,omitempty"`
	// Delay is the far end's answer time. Time is how long the client measures,
	// after WarmUp.
	Delay  time.Duration `json:"delay,omitempty"`
	Time   time.Duration `json:"time,omitempty"`
	WarmUp time.Duration `json:"warm_up,omitempty"`
}

// A result is what a child process has to say, one object a line.
type result struct {
	Addr      string  `json:"addr,omitempty"`
	TokenAddr string  `json:"token_addr,omitempty"`
	Messages  int     `json:"messages,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
	CPU       float64 `json:"cpu,omitempty"` // seconds
	RSS       int     `json:"rss,omitempty"` // bytes
	Pending   int     `json:"pending,omitempty"`
	Streams   int     `json:"streams,omitempty"`
	Conns     int     `json:"conns,omitempty"`
	P50       float64 `json:"p50,omitempty"` // seconds
	P99       float64 `json:"p99,omitempty"` // likewise
	Error     string  `json:"error,omitempty"`

	Stages map[string]float64 `json:"stages,omitempty"` // shares of CPU time
}

func (r result) rate() float64 { return float64(r.Messages) / r.Seconds }

// A child is a process with a role. It ends when its standard input does.
type child struct {
	role  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	errs  *strings.Builder
	ended bool
}

func start(ctx context.Context, t task) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	c := &child{role: t.Role, cmd: exec.CommandContext(ctx, self, roleArg, string(text)), errs: new(strings.Builder)}
	c.cmd.Stderr = c.errs
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, nil
}

// read returns the child's next result.
func (c *child) read() (result, error) {
	var r result
	if !c.out.Scan() {
		c.end()
		return r, fmt.Errorf("bench: the process %s ended early: %s", c.role, strings.TrimSpace(c.errs.String()))
	}
	if err := json.Unmarshal(c.out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("bench: the process %s wrote %q: %w", c.role, c.out.Text(), err)
	}
	if r.Error != "" {
		return r, fmt.Errorf("bench: %s: %s", c.role, r.Error)
	}
	return r, nil
}

// ask writes a command and returns the child's answer.
func (c *child) ask(command string) (result, error) {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return result{}, fmt.Errorf("bench: the process %s does not listen: %w", c.role, err)
	}
	return c.read()
}

func (c *child) end() {
	if c.ended {
		return
	}
	c.ended = true
	c.in.Close()
	_ = c.cmd.Wait() // its results are read; a failure was told by read
}

// RunRoleAndExit plays a child's role and ends the process, if that is what
// args, those of the process, ask for; otherwise it returns.
func RunRoleAndExit(args []string) {
	if len(args) != 3 || args[1] != roleArg {
		return
	}
	var t task
	err := json.Unmarshal([]byte(args[2]), &t)
	if err == nil {
		err = play(t)
	}
	if err != nil {
		say(result{Error: err.Error()})
		os.Exit(1)
	}
	os.Exit(0)
}

func say(r result) { _ = json.NewEncoder(os.Stdout).Encode(r) } // nobody listens: the next read of a command fails too

var errRole = errors.New("unknown role")

func play(t task) error {
	switch t.Role {
	case roleMinimal:
		return playMinimal(t)
	case roleServer:
		return playServer(t)
	case roleRaw:
		return playRaw(t)
	case roleClient:
		return playClient(t)
	case roleProbe:
		return playProbe(t)
	case roleIdle:
		return playIdle(t)
	case roleV1Far:
		return playV1Far(t)
	case roleV1Raw:
		return playV1Raw(t)
	case roleV1Sender:
		return playV1Sender(t)
	case roleCopy:
		return playCopy(t)
	case roleGateway:
		return playGateway(t)
	case rolePaced:
		return playPaced(t)
	}
	return fmt.Errorf("%w %q", errRole, t.Role)
}

// The roles of child processes.
const (
	roleMinimal = "minimal-server" // the least that answers
	roleServer  = "server"         // ccsserver
	roleRaw     = "raw-client"     // pre-encoded bytes
	roleClient  = "client"         // ccsclient
	roleProbe   = "probe"          // ccsclient, one message at a time
	roleIdle    = "idle-clients"   // streams that say nothing

	roleV1Far    = "v1-far-end" // the least that answers HTTP v1
	roleV1Raw    = "v1-raw"     // pre-encoded frames
	roleV1Sender = "v1-sender"  // fcmsend

	roleCopy    = "copying-bridge" // the least that a bridge can do
	roleGateway = "gateway"        // all of Penstock
	rolePaced   = "paced-client"   // pre-encoded bytes, at a given rate
)

// What servers are told.
const (
	commandMark = "mark" // measure from now on
	commandRead = "read" // what was measured
	commandRest = "rest" // give back memory, and say what is left

	commandProfile = "profile" // note where CPU time goes, from now until read
)

// obey answers commands until standard input ends.
func obey(answer func(command string) result) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		say(answer(in.Text()))
	}
	return in.Err()
}

// A meter measures one process.
type meter struct {
	began time.Time
	cpu   float64
}

func startMeter() meter { return meter{time.Now(), cpuSeconds()} }

func (m meter) read(messages int) result {
	return result{Messages: messages, Seconds: time.Since(m.began).Seconds(), CPU: cpuSeconds() - m.cpu, RSS: residentBytes()}
}
