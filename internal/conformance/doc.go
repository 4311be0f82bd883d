// Command conformance makes docs/conformance.md: which test shows that which
// requirement of the wire is met. A test says so by its name: one element of it
// begins with the item's number, or several of them, and a blank or underscore:
//
//	func TestC21_window(t *testing.T)
//	t.Run("S42 S43 ids of two senders", …)
//	t.Run("R-A7 a DTD is refused", …)
//
// Only tests that passed count. Run it from anywhere in the repository:
//
//	go run ./internal/conformance                 run all tests, write the page
//	go run ./internal/conformance -check          … and compare with the page instead
//	go test -json ./... | go run ./internal/conformance -in -
//	go run ./internal/conformance -extra FILE     add results of the interop run
//
// Rows of modules of their own (test/interop) come from -extra; without it they
// stay as they are. A test of this package fails when the page is stale. It runs
// no other test but reads their sources, where it finds items in the names of
// test functions, in the strings given to t.Run (and to other functions that
// take the test's body too), in fields called name, first strings and map keys
// of tables. A name made at run time is announced to it by a comment
// "//conformance:C21 C22" in the test's file.
package main
