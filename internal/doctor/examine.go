package doctor

import (
	"context"
	"sync"
	"time"

	"penstock/internal/config"
)

// The bounds of an examination.
const (
	checkTimeout = 10 * time.Second // of one thing that is asked over the network
	portTimeout  = 3 * time.Second  // of what listens on this machine
	wholeTimeout = 55 * time.Second // of all; what is left then is unknown
	atATime      = 8                // far ends that are asked at the same time
)

// Options are what is optional about an examination.
type Options struct {
	// Project is the one whose far end is asked. Default: every project.
	Project string
	// Program is how the user starts Penstock, for commands in fixes. Default:
	// penstock.
	Program string
}

// An examiner is one examination.
type examiner struct {
	cfg     *config.Config
	program string
}

// Examine looks at everything that a configuration needs to work, and calls
// report with each finding, on its own goroutine and in the same order each
// time. It takes a minute at most; when ctx ends, what was not tried is unknown.
func Examine(ctx context.Context, cfg *config.Config, opt *Options, report func(Finding)) Summary {
	if opt == nil {
		opt = &Options{}
	}
	x := &examiner{cfg: cfg, program: opt.Program}
	if x.program == "" {
		x.program = "penstock"
	}
	ctx, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()

	var projects []*config.Project
	for _, p := range cfg.AllProjects() {
		if opt.Project == "" || p.Name == opt.Project {
			projects = append(projects, p)
		}
	}
	// The far ends take the longest: they are asked while the rest is looked at.
	far := x.askFarEnds(ctx, projects)

	var sum Summary
	tell := func(list []Finding) {
		for _, f := range list {
			f.Text, f.Fix = oneLine(f.Text), oneLine(f.Fix)
			sum.add(f.Result)
			report(f)
		}
	}
	tell(x.files())
	tell(x.certificates())
	tell(x.ports(ctx))
	tell(x.keys(projects))
	for list := range far {
		tell(list)
	}
	return sum
}

// askFarEnds asks every far end, some at a time, and sends the findings of one
// after the other in the projects' order.
func (x *examiner) askFarEnds(ctx context.Context, projects []*config.Project) <-chan []Finding {
	results := make([]chan []Finding, len(projects))
	for i := range results {
		results[i] = make(chan []Finding, 1)
	}
	next := make(chan int, len(projects))
	for i := range projects {
		next <- i
	}
	close(next)
	reached := newReachedOnce()
	var workers sync.WaitGroup
	for range min(atATime, len(projects)) {
		workers.Go(func() {
			for i := range next {
				results[i] <- x.farEnd(ctx, projects[i], reached)
			}
		})
	}
	out := make(chan []Finding)
	go func() {
		defer close(out)
		for _, r := range results {
			out <- <-r
		}
		workers.Wait()
	}()
	return out
}

func (x *examiner) farEnd(ctx context.Context, p *config.Project, reached *reachedOnce) []Finding {
	switch {
	case ctx.Err() != nil:
		return []Finding{{Check: "far-end", Subject: p.Name, Result: Unknown, Text: "there was no time left to ask",
			Fix: "run it for this project alone: --project " + p.Name}}
	case p.Transport.HasCCS:
		return x.farCCS(ctx, p)
	}
	return x.fcm(ctx, p, reached)
}
