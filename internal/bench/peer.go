package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Peer is what a program by others reached: its rate and the CPU time of its
// process, its start included, for each message. The rate after 20 ms is in
// Later; Connections is how many it had at most, at either delay.
type Peer struct {
	Name        string  `json:"name"`
	Rate        int     `json:"rate"`
	CPU         float64 `json:"cpu_us"`
	Later       int     `json:"rate_20ms"`
	LaterCPU    float64 `json:"cpu_us_20ms"`
	Connections int     `json:"connections"`
}

// The environment of a peer (test/peers/README.md).
const (
	peerURL      = "PENSTOCK_BENCH_URL"
	peerCA       = "PENSTOCK_BENCH_CA_FILE"
	peerProject  = "PENSTOCK_BENCH_PROJECT"
	peerAccess   = "PENSTOCK_BENCH_ACCESS_TOKEN"
	peerToken    = "PENSTOCK_BENCH_TOKEN"
	peerWarmUpMS = "PENSTOCK_BENCH_WARM_UP_MS"
	peerTimeMS   = "PENSTOCK_BENCH_TIME_MS"
)

// peerPatience is how much longer than it is told a peer may take.
const peerPatience = 30 * time.Second

// CheckPeer reports why a program cannot be a peer.
func CheckPeer(path string) error {
	if _, err := exec.LookPath(path); err != nil {
		return fmt.Errorf("the peer %s cannot be run: %w", path, err)
	}
	return nil
}

// peer measures one program.
func (b *bench) peer(path string) (Peer, error) {
	var p Peer
	for _, delay := range delays {
		b.begin("%s, answers after %v", filepath.Base(path), delay)
		var list []pair
		for i := range turns {
			if i > 0 && b.late() {
				break
			}
			r, name, err := b.peerTurn(path, delay)
			if err != nil {
				return p, fmt.Errorf("bench: the peer %s: %w", path, err)
			}
			p.Name, p.Connections = name, max(p.Connections, r.Conns)
			list = append(list, pair{ours: r})
		}
		rate := int(median(list, func(p pair) float64 { return p.ours.rate() }))
		cpu := round(median(list, func(p pair) float64 { return p.ours.CPU }))
		if delay == 0 {
			p.Rate, p.CPU = rate, cpu
		} else {
			p.Later, p.LaterCPU = rate, cpu
		}
	}
	return p, nil
}

// peerTurn runs a program once. The result's CPU is microseconds a message.
func (b *bench) peerTurn(path string, delay time.Duration) (result, string, error) {
	far, err := start(b.ctx, task{Role: roleV1Far, Dir: b.dir, Delay: delay})
	if err != nil {
		return result{}, "", err
	}
	defer far.end()
	ready, err := far.read()
	if err != nil {
		return result{}, "", err
	}
	if _, err := far.ask(commandMark); err != nil {
		return result{}, "", err
	}
	// It is measured for longer than ours: what it does at a time may take long.
	limit, warmUp := 2*b.slice, b.warmUp
	ctx, cancel := context.WithTimeout(b.ctx, limit+warmUp+b.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	ca := filepath.Join(b.dir, "ca.pem")
	cmd.Env = append(os.Environ(),
		peerURL+"=https://"+ready.Addr, peerCA+"="+ca, "SSL_CERT_FILE="+ca, "NODE_EXTRA_CA_CERTS="+ca,
		peerProject+"="+string(project), peerAccess+"="+accessToken, peerToken+"="+string(token),
		peerWarmUpMS+"="+strconv.FormatInt(warmUp.Milliseconds(), 10), peerTimeMS+"="+strconv.FormatInt(limit.Milliseconds(), 10))
	cmd.WaitDelay = time.Second
	var errs tail
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if ctx.Err() != nil && b.ctx.Err() == nil {
		return result{}, "", fmt.Errorf("it did not end within %v", limit+warmUp+b.patience)
	}
	if err != nil {
		return result{}, "", fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	var said struct {
		Name     string  `json:"name"`
		Messages int     `json:"messages"`
		Seconds  float64 `json:"seconds"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return result{}, "", fmt.Errorf("it wrote %.100q, which is not one JSON object: %w", out, err)
	}
	if said.Messages <= 0 || said.Seconds <= 0 {
		return result{}, "", errors.New("it says that it has sent nothing")
	}
	seen, err := far.ask(commandRead)
	if err != nil {
		return result{}, "", err
	}
	if said.Messages > seen.Messages {
		return result{}, "", fmt.Errorf("it says that it has sent %d messages, of which %d came", said.Messages, seen.Messages)
	}
	name := said.Name
	if name == "" {
		name = filepath.Base(path)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return result{
		Messages: said.Messages, Seconds: said.Seconds, Conns: seen.Conns,
		CPU: used.Seconds() / float64(seen.Messages) * 1e6,
	}, name, nil
}

// A tail keeps the end of what is written to it.
type tail struct{ text []byte }

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
