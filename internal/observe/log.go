package observe

import (
	"io"
	"log/slog"
)

// NewLog makes a logger that writes lines to w: format is text or json, level
// debug, info, warn or error.
func NewLog(w io.Writer, format, level string) *slog.Logger {
	var least slog.Level
	_ = least.UnmarshalText([]byte(level)) // checked by config; else info
	opt := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}
