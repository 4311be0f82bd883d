package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"penstock/ccs"
)

// messages checks what is to be sent, all of it, before anything is. It returns
// a source that ends with nil, and how many there are.
func (c *sendCmd) messages(ctx context.Context, given map[string]bool) (func() (*ccs.Downstream, error), int, error) {
	fromFile, err := c.fromFile(given)
	switch {
	case err != nil:
		return nil, 0, err
	case fromFile:
		return fileMessages(ctx, c.File)
	}
	switch {
	case given["to"] && !given["condition"]:
		c.Condition = "" // of the environment
	case given["condition"] && !given["to"]:
		c.To = ""
	}
	m, err := c.message()
	if err != nil {
		return nil, 0, err
	}
	n := 1
	if c.Count != nil {
		if n = *c.Count; n < 1 {
			return nil, 0, usage("--count is %d: give at least 1", n)
		}
	}
	next := 0
	return func() (*ccs.Downstream, error) {
		if next == n {
			return nil, nil
		}
		next++
		one := *m
		switch {
		case c.MessageID == "":
			one.MessageID = ccs.NewMessageID()
		case c.Count != nil:
			one.MessageID = ccs.MessageID(fmt.Sprintf("%s-%d", c.MessageID, next))
		}
		return &one, nil
	}, n, nil
}

// fromFile reports whether the messages come from --file and not from the flags
// that make one. Of the two, one may stand in the environment and the other on
// the command line, which wins.
func (c *sendCmd) fromFile(given map[string]bool) (bool, error) {
	if c.File == "" {
		return false, nil
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"to", c.To != ""}, {"condition", c.Condition != ""}, {"data", len(c.Data) > 0},
		{"notification", len(c.Notification) > 0}, {"receipt", c.Receipt}, {"ttl", c.TTL != ""},
		{"collapse-key", c.CollapseKey != ""}, {"priority", c.Priority != ""}, {"dry-run", c.DryRun},
		{"message-id", c.MessageID != ""}, {"count", c.Count != nil},
	} {
		switch {
		case !f.set, given["file"] && !given[f.name]:
		case given["file"] == given[f.name]:
			return false, usage("--file excludes --%s: the lines of the file say it all", f.name)
		default:
			c.File = "" // of the environment
			return false, nil
		}
	}
	return true, nil
}

// message makes the message of the flags.
func (c *sendCmd) message() (*ccs.Downstream, error) {
	m := &ccs.Downstream{
		To: ccs.RegistrationToken(c.To), Condition: c.Condition, MessageID: ccs.MessageID(c.MessageID),
		CollapseKey: ccs.CollapseKey(c.CollapseKey), Priority: ccs.Priority(c.Priority),
		DeliveryReceiptRequested: c.Receipt, DryRun: c.DryRun, Data: c.Data, Notification: c.Notification,
	}
	if m.To == "" && m.Condition == "" {
		return nil, usage("whom to? Give --to, --condition or --file")
	}
	if c.TTL != "" {
		ttl, err := time.ParseDuration(c.TTL)
		if n, err2 := strconv.ParseInt(c.TTL, 10, 32); err2 == nil {
			ttl, err = time.Duration(n)*time.Second, nil
		}
		if err != nil {
			return nil, usage("--ttl %q is neither a duration such as 60s nor a number of seconds", c.TTL)
		}
		m.TTL = &ttl
	}
	check := *m
	if check.MessageID == "" {
		check.MessageID = "checked"
	} else if c.Count != nil {
		check.MessageID += ccs.MessageID("-" + strconv.Itoa(*c.Count)) // the longest of them
	}
	if err := check.Validate(); err != nil {
		return nil, usage("%v", err)
	}
	return m, nil
}
