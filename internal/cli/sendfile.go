package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"penstock/ccs"
)

const (
	maxFileLine   = 64 << 10 // bytes of one line
	maxLineErrors = 10       // wrong lines that are told of
	maxPiped      = 1 << 30  // bytes that are kept of a pipe
)

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxFileLine)

// fileMessages checks every line of a file and returns a source of its
// messages. Lines that are empty are passed over.
func fileMessages(ctx context.Context, name string) (func() (*ccs.Downstream, error), int, error) {
	f, err := openTwice(ctx, name)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, 0, errEndedBySignal
	case err != nil:
		return nil, 0, usage("--file: %v", err)
	}
	lines := newLines(f, name)
	seen := make(map[ccs.MessageID]int)
	var wrong []string
	for len(wrong) < maxLineErrors {
		m, err := lines.next()
		if err != nil {
			wrong = append(wrong, err.Error())
			if lines.broken {
				break
			}
			continue
		}
		if m == nil {
			break
		}
		if first := seen[m.MessageID]; first > 0 {
			wrong = append(wrong, fmt.Sprintf("%s:%d: message_id is that of line %d", name, lines.n, first))
		}
		seen[m.MessageID] = lines.n
	}
	switch {
	case len(wrong) > 0:
		f.Close()
		return nil, 0, usage("nothing was sent, since the file is wrong:\n  %s", strings.Join(wrong, "\n  "))
	case len(seen) == 0:
		f.Close()
		return nil, 0, usage("--file: %s holds no message", name)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, 0, usage("--file: %v", err)
	}
	lines = newLines(f, name)
	return func() (*ccs.Downstream, error) {
		m, err := lines.next()
		if m == nil || err != nil {
			f.Close()
		}
		return m, err
	}, len(seen), nil
}

// openTwice opens a file that can be read from its beginning again: what comes
// through a pipe, as of a shell's <(…), is put into a file that has no name,
// unless ctx ends before it does.
func openTwice(ctx context.Context, name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekCurrent); err == nil {
		return f, nil
	}
	defer f.Close()
	kept, err := os.CreateTemp("", "penstock-send-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(kept.Name())
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })() // a terminal may not know deadlines
	n, err := io.Copy(kept, io.LimitReader(f, maxPiped+1))
	if n > maxPiped {
		err = fmt.Errorf("more than %d bytes come through %s: make it a file", maxPiped, name)
	}
	if err == nil {
		_, err = kept.Seek(0, io.SeekStart)
	}
	if err != nil {
		kept.Close()
		return nil, err
	}
	return kept, nil
}

// A lineReader reads downstream messages, one a line.
type lineReader struct {
	scan   *bufio.Scanner
	name   string
	n      int
	broken bool // nothing more can be read
}

func newLines(r io.Reader, name string) *lineReader {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxFileLine+len("\r\n"))
	return &lineReader{scan: scan, name: name}
}

// next is the next message; nil at the end. An error names the line.
func (l *lineReader) next() (*ccs.Downstream, error) {
	for l.scan.Scan() {
		l.n++
		line := l.scan.Bytes()
		if l.n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // editors begin files with a byte order mark
		}
		if len(line) > maxFileLine {
			return nil, fmt.Errorf("%s:%d: %w", l.name, l.n, errLongLine)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		m, err := parseLine(line, l.n)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", l.name, l.n, err)
		}
		return m, nil
	}
	if err := l.scan.Err(); err != nil {
		l.broken = true
		if errors.Is(err, bufio.ErrTooLong) {
			err = errLongLine
		}
		return nil, fmt.Errorf("%s:%d: %w", l.name, l.n+1, err)
	}
	return nil, nil
}

// parseLine decodes a message. One without message_id gets an id that is the
// same in each run, so that a file sent again is not delivered again.
func parseLine(line []byte, n int) (*ccs.Downstream, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, err
	}
	if fields == nil {
		return nil, errors.New("null is no message")
	}
	if id := bytes.TrimSpace(fields["message_id"]); len(id) == 0 || string(id) == `""` || string(id) == "null" {
		sum := sha256.Sum256(line)
		fields["message_id"], _ = json.Marshal(fmt.Sprintf("f-%s-%d", hex.EncodeToString(sum[:8]), n))
		line, _ = json.Marshal(fields)
	}
	m, err := ccs.ParseFromApp(line)
	if err != nil {
		return nil, err
	}
	d, ok := m.(*ccs.Downstream)
	if !ok {
		return nil, fmt.Errorf("not a downstream message")
	}
	return d, nil
}
