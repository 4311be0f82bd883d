// Package cli is the command line of penstock: one file for each command. What
// the commands print with --json, and their exit codes, is a contract with
// scripts (docs/cli.md).
package cli
