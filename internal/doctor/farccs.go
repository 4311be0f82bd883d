package doctor

import (
	"context"
	"errors"
	"fmt"

	"penstock/ccsclient"
	"penstock/internal/app"
	"penstock/internal/config"
)

// farCCS logs in to a far end that speaks CCS, and says goodbye. What devices
// send to the stream meanwhile has no handler, is not acked, and comes again on
// another.
func (x *examiner) farCCS(ctx context.Context, p *config.Project) []Finding {
	endpoint := p.Transport.CCS.Endpoint
	f := Finding{Check: "ccs", Subject: p.Name, Result: Good, Text: endpoint + " takes the login"}
	cred, opt, err := app.FarEnd(p)
	if err != nil {
		f.Result, f.Text, f.Fix = Bad, err.Error(), "mend that setting"
		return []Finding{f}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	session, err := ccsclient.Dial(ctx, endpoint, cred, opt)
	if err != nil {
		f.Result, f.Text = Bad, fmt.Sprintf("%s: %v", endpoint, err)
		if c, ok := errors.AsType[*ccsclient.ConnectError](err); ok {
			f.Text, f.Fix = fmt.Sprintf("%s: it fails at %s: %v", endpoint, c.Stage, c.Err), c.Hint()
		}
		if _, ok := errors.AsType[*ccsclient.CredentialsError](err); ok {
			f.Fix = "check sender_id and key_file under transport.ccs: the key is the far end's, not Penstock's own"
		}
		return []Finding{f}
	}
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = session.Run(ctx) // how it ends is no matter: the login was what counts
	}()
	if session.Shutdown(ctx) != nil {
		session.Close()
	}
	<-ran
	return []Finding{f}
}
