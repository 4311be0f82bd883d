//go:build !unix

package bench

// childrenLeft cannot tell here.
func childrenLeft() bool { return false }
