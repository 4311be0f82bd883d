package app

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"penstock/internal/config"
)

// makeAdmin makes the admin server: health, readiness, metrics.
func (a *App) makeAdmin(cfg *config.Config) {
	if cfg.Admin.Listen == "" {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
	})
	mux.HandleFunc("GET /readyz", a.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	if cfg.Admin.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	l := cfg.Limits
	a.admin = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			limit := l.HTTPWriteTimeout
			if strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
				limit += profileTime(r)
			}
			// An error: the connection is none that has deadlines.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
			mux.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: l.HTTPHeaderTimeout, ReadTimeout: l.HTTPReadTimeout, IdleTimeout: l.HTTPIdleTimeout,
		MaxHeaderBytes: l.HTTPHeaderBytes,
		ErrorLog:       slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// profileTime is how long a profile takes before there is anything to write: what
// the request says, by default 30 s, an hour at most.
func profileTime(r *http.Request) time.Duration {
	s, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
	if err != nil || !(s > 0) {
		s = 30
	}
	return time.Duration(min(s, 3600) * float64(time.Second))
}

// onlyByOwnName refuses requests that call this machine by a name which is
// neither loopback's nor one of more. A web page whose name its owner lets
// resolve to 127.0.0.1 could read everything here otherwise, through the browser
// of anybody who works on this machine. Browsers always say a name; programs that
// say none, by HTTP/1.0, are served.
func onlyByOwnName(next http.Handler, more []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
		ip := net.ParseIP(name)
		_, parent, _ := strings.Cut(name, ".")
		if name == "" || name == "localhost" || ip != nil && ip.IsLoopback() || slices.ContainsFunc(more, func(own string) bool {
			own = strings.ToLower(own)
			return own == name || own == "*."+parent || ip != nil && ip.Equal(net.ParseIP(own))
		}) {
			next.ServeHTTP(w, r)
			return
		}
		http.Error(w, "The admin listener is on loopback, and the request calls it by another name: call it localhost or 127.0.0.1, or put the name into ca_names.", http.StatusForbidden)
	})
}

// Readiness is what /readyz tells.
type readiness struct {
	Ready    bool           `json:"ready"`
	Reason   string         `json:"reason,omitempty"`
	Projects []projectReady `json:"projects"`
}

type projectReady struct {
	Project string `json:"project"`
	// State is ok; held: the far end takes nothing at present, and messages wait
	// as long as they may, or no message has shown yet that what held the project
	// is mended; full: nothing more can wait.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// serveReady tells whether new messages should come here. A project whose far end
// is out of reach does not change that, nor does one without room as long as
// another has some: the others are served, and its own senders get a true answer.
func (a *App) serveReady(w http.ResponseWriter, _ *http.Request) {
	r, full := readiness{Ready: true, Projects: []projectReady{}}, 0
	for name, p := range *a.projects.Load() {
		one := projectReady{Project: name, State: "ok"}
		switch st := p.lane.State(); {
		case st.Waiting+st.InFlight >= p.room:
			one.State = "full"
			full++
		case st.Pace.Held != 0:
			one.State, one.Reason = "held", st.Pace.Held.String()
		case p.pool != nil && len(p.pool.State().Streams) == 0:
			one.State, one.Reason = "held", "no stream to the far end"
		}
		r.Projects = append(r.Projects, one)
	}
	slices.SortFunc(r.Projects, func(a, b projectReady) int { return strings.Compare(a.Project, b.Project) })
	if full > 0 && full == len(r.Projects) {
		r.Ready, r.Reason = false, "no project has room for more messages"
	}
	if a.draining.Load() {
		r.Ready, r.Reason = false, "shutting down"
	}
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, r)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone
}
