// Package bench measures Penstock beside the physical limit, in the same run:
// what the real thing reaches means little on a machine of unknown speed, its
// ratio to pre-encoded bytes over the same connections means much
// (docs/benchmarks.md).
//
//	bench.RunRoleAndExit(os.Args) // a child process begins here
//	report, err := bench.CCS(ctx, bench.Options{})
//
// Client and far end are processes of their own, so that the CPU time of each
// is its own; the processes are this program, started again with another role.
// All of it is on loopback.
package bench
