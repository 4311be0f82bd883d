package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// What the script run hands over: the Pythons of virtual environments with
// slixmpp, with aiofcm and with Google's Admin SDK, a node_modules with node-xcs
// and one with the Admin SDKs, what Maven made of the directory smack for each
// version and of admin-java, and the program admin-go; the same of the
// directories that begin with legacy-, and gorush.
const (
	pythonEnv  = "PENSTOCK_INTEROP_SLIXMPP"
	aiofcmEnv  = "PENSTOCK_INTEROP_AIOFCM"
	modulesEnv = "PENSTOCK_INTEROP_NODE_MODULES"
	smack43Env = "PENSTOCK_INTEROP_SMACK_4_3"
	smack44Env = "PENSTOCK_INTEROP_SMACK_4_4"

	adminPythonEnv = "PENSTOCK_INTEROP_ADMIN_PYTHON"
	adminNodeEnv   = "PENSTOCK_INTEROP_ADMIN_NODE"
	adminJavaEnv   = "PENSTOCK_INTEROP_ADMIN_JAVA"
	adminGoEnv     = "PENSTOCK_INTEROP_ADMIN_GO"

	legacyPythonEnv = "PENSTOCK_INTEROP_LEGACY_PYTHON"
	legacyNodeEnv   = "PENSTOCK_INTEROP_LEGACY_NODE"
	legacyGoogleEnv = "PENSTOCK_INTEROP_LEGACY_JAVA_GOOGLE"
	legacyGanyoEnv  = "PENSTOCK_INTEROP_LEGACY_JAVA_GANYO"
	legacyGoEnv     = "PENSTOCK_INTEROP_LEGACY_GO"
	gorushEnv       = "PENSTOCK_INTEROP_GORUSH"

	insideEnv = "PENSTOCK_INTEROP_INSIDE" // set in the namespaces: where penstock is
)

// googleHost is where CCS was. Old programs have it built in; senders of HTTP
// have httpHosts.
const (
	googleHost = "fcm-xmpp.googleapis.com"
	httpHosts  = "fcm.googleapis.com oauth2.googleapis.com iid.googleapis.com gcm-http.googleapis.com android.googleapis.com"
)

// penstock is the program under test.
var penstock string

// TestMain runs the tests in network, mount and process namespaces of their
// own: Google's hosts are loopback there, its ports are free, nothing outside can be
// reached, the machine's files stay as they are, and no process outlives the
// tests.
func TestMain(m *testing.M) {
	code := 1
	var err error
	if penstock = os.Getenv(insideEnv); penstock == "" {
		code, err = outside()
	} else if err = enter(filepath.Dir(penstock)); err == nil {
		code = m.Run()
	}
	if err != nil {
		fmt.Println("interop:", err)
		code = 1
	}
	os.Exit(code)
}

// outside builds penstock and runs this program again, inside.
func outside() (code int, err error) {
	for _, name := range []string{pythonEnv, aiofcmEnv, modulesEnv, smack43Env, smack44Env,
		adminPythonEnv, adminNodeEnv, adminJavaEnv, adminGoEnv,
		legacyPythonEnv, legacyNodeEnv, legacyGoogleEnv, legacyGanyoEnv, legacyGoEnv, gorushEnv} {
		if _, err := os.Stat(os.Getenv(name)); err != nil {
			return 1, fmt.Errorf("%s names nothing: use test/interop/run, which installs what is needed", name)
		}
	}
	dir, err := os.MkdirTemp("", "penstock-interop-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "penstock")
	build := exec.Command("go", "build", "-o", program, "./cmd/penstock")
	build.Dir = filepath.Join("..", "..")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return 1, fmt.Errorf("go build ./cmd/penstock: %w", err)
	}

	// The kernel ends the inner process, and with it all of its namespace, when
	// the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := func(attr *syscall.SysProcAttr) (*exec.Cmd, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self, os.Args[1:]...)
		cmd.Env = append(os.Environ(), insideEnv+"="+program)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		attr.Pdeathsig = syscall.SIGKILL
		cmd.SysProcAttr = attr
		return cmd, cmd.Start()
	}
	const spaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID
	cmd, err := start(&syscall.SysProcAttr{Cloneflags: spaces})
	if errors.Is(err, syscall.EPERM) {
		cmd, err = start(&syscall.SysProcAttr{
			Cloneflags:  spaces | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		})
	}
	if err != nil {
		return 1, fmt.Errorf("no namespaces: %w: run as root, or allow user namespaces", err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// enter makes the namespaces what the programs need. dir is for files.
func enter(dir string) error {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 localhost "+googleHost+" "+httpHosts+"\n"), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount(hosts, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over /etc/hosts: %w", err)
	}
	return nil
}
