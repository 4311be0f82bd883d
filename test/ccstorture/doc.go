// Command ccstorture lets app servers talk to a pretend FCM over a network that
// fails, and finds out whether anybody was told what is not so (docs/torture.md).
//
//	go run ./test/ccstorture -seed 1 -for 30m
//
// Messages and faults follow from the seed. The exit code is 0 if all was well,
// 1 if something was not, 2 for wrong use, 3 if too little happened to say, and
// 130 if the run was interrupted.
package main
