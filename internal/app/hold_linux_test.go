package app_test

import (
	"testing"

	"penstock/internal/app"
)

// Directories of sysfs take no files, not even root's: as one does that is
// mounted for reading only, with all that is needed in it.
func TestDirectoryThatTakesNoFilesNeedsNoHold(t *testing.T) {
	release, err := app.Hold("/sys/kernel")
	if err != nil {
		t.Fatal(err)
	}
	release()
}
