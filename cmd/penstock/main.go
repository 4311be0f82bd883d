// Command penstock is the one program of the project: see internal/cli.
package main

import (
	"os"

	"penstock/internal/bench"
	"penstock/internal/cli"
)

func main() {
	bench.RunRoleAndExit(os.Args)
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
