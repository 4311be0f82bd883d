package fcmsim

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"penstock/ccs"
)

// stateFile holds what a simulator's directory keeps beside its CA.
const stateFile = "sim.json"

// A state is who the simulator is for others. It holds the server key in
// clear: whoever may read the directory may log in to a pretend FCM.
type state struct {
	SenderID      ccs.SenderID            `json:"sender_id"`
	ServerKey     string                  `json:"server_key"`
	ProjectID     string                  `json:"project_id"`
	ForeignSender ccs.SenderID            `json:"foreign_sender_id"`
	Tokens        []ccs.RegistrationToken `json:"tokens"`
	Dead          []ccs.RegistrationToken `json:"dead_tokens"`
	Foreign       []ccs.RegistrationToken `json:"foreign_tokens"`
}

// loadState reads what dir keeps, fills in what opt asks for and what is
// missing, and writes it back if that changed anything. With an empty dir
// nothing is read or written.
func loadState(dir string, opt *Options) (*state, error) {
	st := &state{}
	var before []byte
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("%w: give a directory that can be made and written", err)
		}
		path := filepath.Join(dir, stateFile)
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("%w: make it readable, or give another directory", err)
		default:
			if err := json.Unmarshal(text, st); err != nil {
				return nil, fmt.Errorf("%s cannot be used (%w): restore it, or remove it to get a new sender id, key and tokens", path, err)
			}
			before = text
		}
	}
	st.fill(opt)
	if dir == "" {
		return st, nil
	}
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	if string(text) == string(before) {
		return st, nil
	}
	if err := replaceFile(filepath.Join(dir, stateFile), text); err != nil {
		return nil, fmt.Errorf("%w: make the directory writable, with room in it, or give another one", err)
	}
	return st, nil
}

func (st *state) fill(opt *Options) {
	if opt.SenderID != "" {
		st.SenderID = opt.SenderID
	}
	for !isDigits(string(st.SenderID)) {
		st.SenderID = newSenderID()
	}
	for !isDigits(string(st.ForeignSender)) || st.ForeignSender == st.SenderID {
		st.ForeignSender = newSenderID()
	}
	if opt.ServerKey != "" {
		st.ServerKey = opt.ServerKey
	}
	if st.ServerKey == "" {
		st.ServerKey = "AAAA" + randomText(7) + ":APA91b" + randomText(134)
	}
	if opt.ProjectID != "" {
		st.ProjectID = opt.ProjectID
	}
	if !isProjectID(st.ProjectID) {
		st.ProjectID = defaultProjectID
	}
	for _, group := range []struct {
		list *[]ccs.RegistrationToken
		want int
	}{
		{&st.Tokens, opt.LiveDevices},
		{&st.Dead, opt.DeadDevices},
		{&st.Foreign, opt.ForeignDevices},
	} {
		for len(*group.list) < group.want {
			*group.list = append(*group.list, newToken(len(*group.list)))
		}
	}
}

// newToken makes a token as Google's look: the id of an installation, with 11
// or, in younger SDKs, 22 characters, a colon, and 140 more. The first of them
// is a small letter, so that no shell takes a token for a flag.
func newToken(i int) ccs.RegistrationToken {
	id := 10
	if i%2 == 1 {
		id = 21
	}
	return ccs.RegistrationToken("cdef"[i%4:i%4+1] + randomText(id) + ":APA91b" + randomText(134))
}

func newSenderID() ccs.SenderID {
	n, err := rand.Int(rand.Reader, big.NewInt(900_000_000_000))
	if err != nil {
		n = new(big.Int) // crypto/rand.Reader ends the process before it fails
	}
	return ccs.SenderID(strconv.FormatInt(100_000_000_000+n.Int64(), 10))
}

// randomText is n random characters of base64url.
func randomText(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	rand.Read(b)
	var text strings.Builder
	for _, c := range b {
		text.WriteByte(alphabet[c%byte(len(alphabet))])
	}
	return text.String()
}

// replaceFile makes or replaces a file that only its owner may read, in one
// step: a process that dies meanwhile leaves the old one.
func replaceFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
