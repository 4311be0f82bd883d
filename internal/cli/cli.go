package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
)

// The exit codes (docs/cli.md).
const (
	exitGood        = 0   // done, and all is well
	exitFailed      = 1   // done, and something failed: a nack, a loss, a check
	exitUsage       = 2   // wrong use
	exitNotTried    = 3   // could not be tried: nothing is known
	exitInterrupted = 130 // Ctrl-C
)

// An exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error  // nil: everything was said already
	try  string // what helps on, as flags and commands of this program; empty: nothing does
}

// itsHelp, to be tried, is the help of the command that was used.
const itsHelp = "--help"

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...), itsHelp}
}

// An env is what a command gets beside its flags.
type env struct {
	ctx    context.Context // ends at SIGINT, SIGTERM or SIGHUP
	stdout io.Writer
	stderr io.Writer

	interrupted *atomic.Bool    // by SIGINT
	given       map[string]bool // flags that stand on the command line, not in the environment
	variables   []string        // of the environment, for the flags of all commands

	lastDeeds sync.Map // *func(): called before a second signal ends the program at once
}

// beforeForcedEnd has f called if a second signal comes, until it is forgotten.
func (e *env) beforeForcedEnd(f *func()) { e.lastDeeds.Store(f, nil) }
func (e *env) forget(f *func())          { e.lastDeeds.Delete(f) }

// temporary returns what removes a directory, which is done in any case before a
// second signal ends the program.
func (e *env) temporary(dir string) (remove func()) {
	f := func() { os.RemoveAll(dir) }
	e.beforeForcedEnd(&f)
	return func() {
		f()
		e.forget(&f)
	}
}

// grammar is the command line.
type grammar struct {
	Demo    demoCmd    `cmd:"" help:"Watch it work: a simulator, a client and a steady flow through drains and a cut, then the accounts."`
	Sim     simCmd     `cmd:"" help:"Run the simulator: a pretend FCM that app servers of CCS log in to."`
	Serve   serveCmd   `cmd:"" help:"Take messages of CCS, legacy HTTP and HTTP v1, and send them on."`
	Send    sendCmd    `cmd:"" help:"Send messages to any CCS endpoint and print what became of each."`
	Listen  listenCmd  `cmd:"" help:"Print what devices send, message by message, and hand it to a command."`
	Bench   benchCmd   `cmd:"" help:"Measure this machine, and Penstock on it."`
	Project projectCmd `cmd:"" help:"Make and list projects, and their server keys."`
	Doctor  doctorCmd  `cmd:"" help:"Find out what keeps messages from going out, and how to mend it."`
	Config  configCmd  `cmd:"" help:"Check a configuration, or print what counts in the end."`
	CA      caCmd      `cmd:"" name:"ca" help:"Print the certificate of Penstock's own CA, for those who connect."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

const description = `Penstock is a connection server for Firebase Cloud Messaging that you run yourself.

Begin with "penstock serve --sim": it takes messages as FCM did and does, has a simulator in Google's place, and prints commands to copy. "penstock demo" shows both ends of CCS through drains and a cut. For real it is "penstock project add", "penstock serve", and "penstock doctor" where nothing goes out.

Every flag can be given in the environment too, as PENSTOCK_ and its name: --ca-file is PENSTOCK_CA_FILE. A flag wins over the environment.

Exit codes: 0 all is well; 1 something failed (a nack, a loss); 2 wrong use; 3 could not be tried; 130 interrupted.`

// sameSignal is how long after the first signal another one still counts as the
// same: timeout(1) signals the process and then its group.
const sameSignal = 300 * time.Millisecond

// Main runs the command line and returns the exit code. It catches SIGINT,
// SIGTERM and SIGHUP: the first ends the command in order, the second at once. A
// SIGHUP that whoever started us ignores, as nohup does, stays ignored. A stdout
// that nobody reads is an error like others, not the end of the process.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &outlet{to: stdout}
	e := &env{ctx: ctx, stdout: out, stderr: stderr, interrupted: new(atomic.Bool)}
	// Without a listener for it, a write to a closed stdout or stderr would kill us
	// on the spot. It is told, not ignored: commands that we start would inherit that.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP) // the terminal is gone
	}
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case sig := <-signals:
			e.interrupted.Store(sig == os.Interrupt)
			cancel()
		case <-done:
			return
		}
		first := time.Now()
		for {
			select {
			case <-signals:
				if time.Since(first) < sameSignal {
					continue
				}
				e.lastDeeds.Range(func(f, _ any) bool { (*f.(*func()))(); return true })
				fmt.Fprintln(stderr, "penstock: forced to end")
				os.Exit(exitInterrupted)
			case <-done:
				return
			}
		}
	}()
	return out.told(run(e, args), stderr)
}

// program is how the user starts this program, for examples to be copied. What
// go run builds has a name that is gone soon.
func program() string {
	if strings.Contains(os.Args[0], "/go-build") {
		return "go run ./cmd/penstock"
	}
	return word(os.Args[0])
}

// word is s as one word of a shell's, for commands to copy.
func word(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:@%+,="+string(filepath.Separator), r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// run parses args and runs their command.
func run(e *env, args []string) int {
	var g grammar
	left := -1 // the exit code that kong asked for, by --help
	parser, err := kong.New(&g,
		kong.Name("penstock"), kong.Description(description), kong.Writers(beneath(e.stdout), e.stderr),
		kong.DefaultEnvars("PENSTOCK"), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Exit(func(code int) { left = code }))
	if err != nil {
		fmt.Fprintln(e.stderr, "penstock:", err)
		return exitUsage
	}
	emptyIsNone(parser.Model.Node)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if left >= 0 {
		return left
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "penstock: %v\n", err)
		at := parser.Model.Node
		if pe, ok := errors.AsType[*kong.ParseError](err); ok && pe.Context.Selected() != nil {
			at = pe.Context.Selected()
		}
		tryNext(e, at, itsHelp)
		return exitUsage
	}
	e.given = make(map[string]bool)
	for _, p := range k.Path {
		if p.Flag != nil && !p.Resolved {
			e.given[p.Flag.Name] = true
		}
	}
	e.variables = variables(parser.Model.Node)
	err = k.Run(e)
	code := exitGood
	if err != nil {
		x, ok := errors.AsType[*exitError](err)
		if !ok {
			x = &exitError{code: exitFailed, err: err}
		}
		code = x.code
		if x.err != nil {
			fmt.Fprintf(e.stderr, "penstock: %v\n", x.err)
		}
		tryNext(e, k.Selected(), x.try)
	}
	if e.interrupted.Load() && code != exitUsage {
		return exitInterrupted
	}
	return code
}

// tryNext says what helps on, if anything does, after the command at was used.
func tryNext(e *env, at *kong.Node, try string) {
	switch try {
	case "":
		return
	case itsHelp:
		try = at.FullPath() + " " + itsHelp
	default:
		try = "penstock " + try
	}
	fmt.Fprintf(e.stderr, "Try \"%s\".\n", try)
}

// emptyIsNone has an empty variable of the environment count as none, as those of
// settings do.
func emptyIsNone(n *kong.Node) {
	for _, f := range n.Flags {
		f.Tag.Envs = slices.DeleteFunc(slices.Clone(f.Tag.Envs), func(name string) bool {
			value, set := os.LookupEnv(name)
			return set && value == ""
		})
	}
	for _, below := range n.Children {
		emptyIsNone(below)
	}
}

// variables are the environment's names for the flags of a command and those
// below it.
func variables(n *kong.Node) []string {
	var names []string
	for _, f := range n.Flags {
		names = append(names, f.Envs...)
	}
	for _, below := range n.Children {
		names = append(names, variables(below)...)
	}
	return names
}
