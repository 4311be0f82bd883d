//go:build !planted_drop && !planted_twice && !planted_window && !planted_close && !planted_early_ack && !planted_lost_ack

package ccsclient

// planted names the fault that this build carries: none. A build with one of the
// tags planted_drop, planted_twice, planted_window, planted_close, planted_early_ack
// and planted_lost_ack carries one, so that those who look for faults can show
// that they find them: the demo's accounts, and test/ccstorture.
const planted = ""

func plantedNow() bool { return false }
