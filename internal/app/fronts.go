package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"penstock/ccs"
	"penstock/ccsserver"
	"penstock/internal/config"
	"penstock/internal/downstream"
	frontccs "penstock/internal/front/ccs"
	"penstock/internal/front/legacy"
	"penstock/internal/front/v1"
	"penstock/internal/h2wire"
	"penstock/internal/linger"
	"penstock/internal/translate"
)

// Times of the way out, beside [Options.AnswerTime]
// (docs/adr/0009-configuration-and-assembly.md).
const (
	// cutTime is how long what then is cut may take to be told.
	cutTime = 5 * time.Second
	// lastCall is when a stream that still sends is told to go elsewhere.
	lastCall = 10 * time.Second
)

func (a *App) makeCCS(cfg *config.Config) error {
	if len(cfg.CCS.Listen) == 0 {
		return nil
	}
	tlsConfig, err := a.serverTLS(cfg, cfg.CCS.TLS)
	if err != nil {
		return &ConfigError{fmt.Errorf("ccs.tls: %w", err)}
	}
	f := a.obs.Front("ccs")
	handler := frontccs.New(a.ring, func(project string) frontccs.Lane {
		if l := a.lane(project); l != nil {
			return l
		}
		return nil
	}, &frontccs.Options{
		Translate: &translate.Options{AuthenticationFailed: cfg.CCS.AuthenticationFailed},
		Events:    &frontccs.Events{Accepted: f.Accepted, Answered: f.Answered, Failed: f.Failed},
	})
	l := cfg.Limits
	a.ccs, err = ccsserver.New(handler, frontccs.Accounts(a.ring), &ccsserver.Options{
		TLS: tlsConfig, AnswerTimeout: cfg.VerdictTimeout, AnswerTimeoutOf: a.verdictTimeout, StrictPayload: cfg.CCS.StrictPayload,
		MaxWaiting: l.UpstreamWaitingPerSender, DedupeWindow: l.RememberedFor, DedupeMax: l.RememberedIDs,
		Connections: ccsserver.ConnectionLimits{
			PerAddress: l.CCSUnauthenticatedPerPeer, Rate: float64(l.UnauthenticatedPeersPerSec),
			Unauthenticated: l.CCSUnauthenticated, PerSender: l.CCSStreamsPerSender,
		},
		Drain:  ccsserver.DrainTimes{LastCall: lastCall, Limit: a.opt.AnswerTime},
		Events: a.obs.CCS(),
	})
	return err
}

// verdictTimeout is how long the app servers of a sender id wait for a verdict:
// as their project's lane has it. 0: there is no lane, and nothing to wait for.
func (a *App) verdictTimeout(sender ccs.SenderID) time.Duration {
	if p, ok := a.ring.Sender(sender); ok {
		if l := a.lane(p.Name); l != nil {
			return l.VerdictTimeout()
		}
	}
	return 0
}

func (a *App) makeWeb(cfg *config.Config) error {
	if len(cfg.HTTP.Listen) == 0 {
		return nil
	}
	fl, fv := a.obs.Front("legacy"), a.obs.Front("v1")
	old := legacy.New(a.ring, func(project string) legacy.Lane {
		if l := a.lane(project); l != nil {
			return downstream.Prompt{Lane: l}
		}
		return nil
	}, &legacy.Options{
		Parse:  a.parseOf,
		Events: &legacy.Events{Accepted: fl.Accepted, Answered: fl.Answered, Refused: fl.Refused, Gone: fl.Gone, Failed: fl.Failed, Ignored: a.obs.Ignored},
	})
	fresh := v1.New(a.ring, func(project string) v1.Lane {
		if l := a.lane(project); l != nil {
			return downstream.Prompt{Lane: l}
		}
		return nil
	}, &v1.Options{
		Strict: cfg.HTTP.V1Strict,
		Events: &v1.Events{Accepted: fv.Accepted, Answered: fv.Answered, Refused: fv.Refused, Gone: fv.Gone, Failed: fv.Failed},
	})
	l := cfg.Limits
	a.web = &http.Server{
		// No mux: it would answer odd spellings of a path with redirects. Each
		// front asks for a key before it looks at the path.
		Handler: linger.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.EscapedPath(), "/v1/") {
				fresh.ServeHTTP(w, r)
				return
			}
			old.ServeHTTP(w, r)
		})),
		ReadHeaderTimeout: l.HTTPHeaderTimeout, ReadTimeout: l.HTTPReadTimeout, WriteTimeout: l.HTTPWriteTimeout,
		IdleTimeout: l.HTTPIdleTimeout, MaxHeaderBytes: l.HTTPHeaderBytes,
		// TLS ends in the listener: h2wire stands between it and the server.
		DisableGeneralOptionsHandler: true, // it would answer OPTIONS * to anybody
		Protocols:                    h2wire.Protocols(),
		// Over HTTP/2 WriteTimeout resets streams; the connection whose client reads
		// nothing ends by WriteByteTimeout alone.
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: l.HTTPStreams, WriteByteTimeout: l.HTTPWriteTimeout},
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	if cfg.HTTP.OwnTLS || cfg.HTTP.TLS.CertFile != "" {
		tlsConfig, err := a.serverTLS(cfg, cfg.HTTP.TLS)
		if err != nil {
			return &ConfigError{fmt.Errorf("http.tls: %w", err)}
		}
		a.webTLS = tlsConfig
	}
	return nil
}

// shutdown ends the fronts, then the lanes, then the admin listener, which tells
// until the end that we are not ready.
func (a *App) shutdown() {
	a.draining.Store(true)
	limit, cancel := context.WithTimeout(context.Background(), a.opt.AnswerTime+cutTime)
	defer cancel()
	fronts := make(chan struct{}, 2)
	ends := 0
	end := func(f func(context.Context) error) {
		ends++
		go func() {
			_ = f(limit) // the context's: the rest has been cut
			fronts <- struct{}{}
		}()
	}
	if a.ccs != nil {
		end(a.ccs.Shutdown)
	}
	if a.web != nil {
		end(func(ctx context.Context) error {
			err := a.web.Shutdown(ctx)
			return errors.Join(err, a.web.Close())
		})
	}
	answers, stop := context.WithTimeout(limit, a.opt.AnswerTime)
	defer stop()
	for ended := 0; ended < ends; ended++ {
		select {
		case <-fronts:
		case <-answers.Done():
			// Whatever still waits gets its answer now, and the fronts end.
			a.log.Warn("some messages have no verdict in time: their senders are told that the outcome is unknown")
			gone, cancelNow := context.WithCancel(context.Background())
			cancelNow()
			a.closeProjects(gone)
			for ; ended < ends; ended++ {
				<-fronts
			}
		}
	}
	a.closeProjects(limit)
	a.closing.Wait()
	a.lanes.Wait()
	if a.admin != nil {
		_ = a.admin.Close()
	}
}
