// Package observe turns the events of the rooms into metrics and log lines.
package observe
