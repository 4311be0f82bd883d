// Command legacy-go is an ordinary program on go-fcm 0.1, which gorush used. It
// reads what to do from the file that its argument names, and tells by lines of
// JSON what the library made of it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/appleboy/go-fcm"
)

type order struct {
	URL       string   `json:"url"`
	Key       string   `json:"key"`
	WrongKey  string   `json:"wrong_key"`
	Live      string   `json:"live"`
	Dead      string   `json:"dead"`
	Foreign   string   `json:"foreign"`
	Malformed string   `json:"malformed"`
	Batch     []string `json:"batch"`
	Topic     string   `json:"topic"`
	Steps     []string `json:"steps"`
}

type result struct {
	Step    string   `json:"step"`
	OK      bool     `json:"ok"`
	Name    string   `json:"name"`
	Code    string   `json:"code"`
	Error   string   `json:"error"`
	Success int      `json:"success"`
	Failure int      `json:"failure"`
	Answers []string `json:"answers"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, step := range o.Steps {
		r, err := o.do(step)
		if err != nil {
			return err
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// do sends one message. The error is one of this program.
func (o *order) do(step string) (result, error) {
	ttl := uint(600)
	m := &fcm.Message{
		Priority: "high", CollapseKey: "score", TimeToLive: &ttl,
		Data:         map[string]any{"step": step, "n": 12, "text": `Grüße & "quotes" <b>bold</b>`},
		Notification: &fcm.Notification{Title: "Goal", Body: "2:1", Sound: "default", Badge: "3"},
	}
	key := o.Key
	switch step {
	case "one", "retry":
		m.To = o.Live
	case "wrong_key":
		m.To, key = o.Live, o.WrongKey
	case "dead":
		m.To = o.Dead
	case "foreign":
		m.To = o.Foreign
	case "malformed":
		m.To = o.Malformed
	case "topic":
		m.To = "/topics/" + o.Topic
	case "many":
		m.RegistrationIDs = o.Batch
	default:
		return result{}, fmt.Errorf("unknown step %q", step)
	}
	client, err := fcm.NewClient(key, fcm.WithEndpoint(o.URL))
	if err != nil {
		return result{}, err
	}
	response, err := client.SendWithRetry(m, 3)
	if err != nil {
		return result{Step: step, Code: err.Error(), Error: err.Error()}, nil
	}
	r := result{Step: step, Success: response.Success, Failure: response.Failure}
	if response.MessageID != 0 {
		r.OK, r.Name = true, strconv.FormatInt(response.MessageID, 10)
		return r, nil
	}
	for _, a := range response.Results {
		word := ""
		if a.Error != nil {
			word = a.Error.Error()
			if a.Unregistered() {
				word += ", unregistered"
			}
		} else if a.MessageID == "" {
			word = "nothing"
		}
		r.Answers = append(r.Answers, word)
	}
	r.OK = r.Failure == 0 && response.Error == nil
	if len(r.Answers) > 0 {
		r.Code = r.Answers[0]
	}
	return r, nil
}
