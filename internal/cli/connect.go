package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"penstock/ccs"
	"penstock/ccsclient"
)

// connectFlags say where to connect and as whom.
type connectFlags struct {
	Endpoint string `required:"" placeholder:"HOST:PORT" help:"The CCS endpoint."`
	CAFile   string `name:"ca-file" placeholder:"FILE" help:"Trust the CA in this PEM file, and no other. Default: the system's."`
	Insecure bool   `help:"Do not verify the server's certificate. For tests: anybody could be the server."`
	SenderID string `required:"" name:"sender-id" placeholder:"ID" help:"The sender id to log in with."`
	Key      string `placeholder:"KEY" help:"The server key. Better in PENSTOCK_KEY, or by --key-file: command lines can be seen by others."`
	KeyFile  string `name:"key-file" placeholder:"FILE" help:"Read the server key from this file."`
}

// credentials reads the key from where it is. Of a key and a file one may stand
// in the environment and the other on the command line, which wins.
func (f *connectFlags) credentials(given map[string]bool) (ccsclient.Credentials, error) {
	key, file := f.Key, f.KeyFile
	if key != "" && file != "" {
		switch {
		case given["key"] == given["key-file"]:
			return ccsclient.Credentials{}, usage("--key and --key-file exclude each other")
		case given["key"]:
			file = ""
		}
	}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return ccsclient.Credentials{}, usage("--key-file: %v", err)
		}
		if key = strings.TrimSpace(string(b)); key == "" {
			return ccsclient.Credentials{}, usage("--key-file: %s is empty: write the server key into it", file)
		}
	}
	if key == "" {
		return ccsclient.Credentials{}, usage("no server key: give --key-file, PENSTOCK_KEY or --key")
	}
	return ccsclient.Credentials{SenderID: ccs.SenderID(f.SenderID), Key: key}, nil
}

func (f *connectFlags) tls() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: f.Insecure}
	if f.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(f.CAFile)
	if err != nil {
		return nil, usage("--ca-file: %v", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, usage("--ca-file: %s holds no certificate in PEM form", f.CAFile)
	}
	return c, nil
}

// printTrace writes the wire's trace to stderr, one line a stanza.
func (e *env) printTrace(t ccsclient.Trace) {
	arrow := "<-"
	if t.Direction == ccsclient.Out {
		arrow = "->"
	}
	fmt.Fprintf(e.stderr, "%s %s %s\n", t.Time.Format("15:04:05.000"), arrow, t.Text)
}
