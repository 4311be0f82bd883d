package localca

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// Tests run as root see no refused permission, so this one is made by hand.
func TestARefusedPermissionSaysWhatToDo(t *testing.T) {
	err := explain(&fs.PathError{Op: "open", Path: "/data/ca-key.pem", Err: fs.ErrPermission})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "/data/ca-key.pem") || !strings.Contains(err.Error(), "run as the owner of the file") {
		t.Errorf("explain = %v", err)
	}
}
