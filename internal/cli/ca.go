package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"penstock/internal/app"
	"penstock/internal/config"
)

// caCmd is `penstock ca`.
type caCmd struct {
	configFlags `embed:""`

	JSON bool `name:"json" help:"Print one JSON object: the file's path, the fingerprint, and the names that server certificates cover."`
}

type caLine struct {
	CAFile string   `json:"ca_file"`
	SHA256 string   `json:"sha256"`
	Names  []string `json:"names"`
}

// Help is what --help says between the summary and the flags.
func (c *caCmd) Help() string {
	return `Penstock makes a CA of its own when it is given no certificate, and keeps it in the data directory. What connects must trust it, and nothing else has to be changed: with a line in the hosts file an old program may go on calling fcm-xmpp.googleapis.com, since the certificate covers that name too.

  penstock ca > penstock-ca.pem                 for a trust store, or --ca-file
  penstock ca | openssl x509 -noout -text       what it says
  penstock ca --json                            where it is, and for which names

More names come from ca_names of the configuration.`
}

func (c *caCmd) Run(e *env) error {
	src := c.sources(e)
	src.Flags["key_files_readable_by"] = "everyone" // no secret leaves here
	cfg, err := config.Load(src)
	if err != nil {
		return c.wrong(e, err)
	}
	ca, names, err := app.Authority(cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		block, _ := pem.Decode(ca.PEM())
		sum := sha256.Sum256(block.Bytes)
		err = json.NewEncoder(e.stdout).Encode(caLine{CAFile: absolute(ca.CertFile()), SHA256: hex.EncodeToString(sum[:]), Names: names})
	} else {
		_, err = e.stdout.Write(ca.PEM())
	}
	if err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	return nil
}
