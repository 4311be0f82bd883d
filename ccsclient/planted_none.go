//go:build !planted_drop && !planted_twice

package ccsclient

// planted names the fault that this build carries: none. Builds with the tag
// planted_drop or planted_twice carry one, so that a test can show that the
// demo's accounts notice it.
const planted = ""

func plantedNow() bool { return false }
