package fcmsim

import (
	"errors"
	"net/http"
	"slices"

	"penstock/ccs"
)

// Bounds of device groups (docs/fcm-http.md, Device groups). The number of
// groups is ours.
const (
	maxGroupMembers = 20
	maxGroups       = 10_000
	maxGroupBody    = 64 << 10
)

// A Group describes a device group: a key to which messages go as to a token.
type Group struct {
	Name    string                  `json:"notification_key_name"`
	Key     string                  `json:"notification_key"`
	Members []ccs.RegistrationToken `json:"registration_ids"`
}

// A groupBook is guarded by the simulator's mutex.
type groupBook struct {
	byName map[string]*Group
	byKey  map[string]*Group
	order  []*Group
}

// Groups lists the device groups in the order in which they were made.
func (s *Sim) Groups() []Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Group, len(s.groups.order))
	for i, g := range s.groups.order {
		list[i] = *g
		list[i].Members = slices.Clone(g.Members)
	}
	return list
}

// groupMembers are the devices behind a notification key, in the order in which
// they joined; false: no group has that key. Called with mu held.
func (s *Sim) groupMembers(key string) ([]*device, bool) {
	g := s.groups.byKey[key]
	if g == nil {
		return nil, false
	}
	list := make([]*device, 0, len(g.Members))
	for _, token := range g.Members {
		list = append(list, s.devices[token])
	}
	return list, true
}

// A groupRequest is the body of a call about a group.
type groupRequest struct {
	Operation string                  `json:"operation"`
	Name      string                  `json:"notification_key_name"`
	Key       string                  `json:"notification_key"`
	Tokens    []ccs.RegistrationToken `json:"registration_ids"`
}

// serveGroups is /fcm/notification: it makes, changes, and looks up groups.
func (s *Sim) serveGroups(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, POST")
		writeIIDError(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
		return
	}
	if !s.admitIID(w, r) {
		return
	}
	if got := r.Header.Get("project_id"); got != string(s.SenderID()) {
		writeIIDError(w, http.StatusBadRequest, "project_id is not the sender id of this project")
		return
	}
	var key string
	var err error
	if r.Method == http.MethodGet {
		key, err = s.groupKey(r.URL.Query().Get("notification_key_name"))
	} else {
		var req groupRequest
		r.Body = http.MaxBytesReader(w, r.Body, maxGroupBody)
		if !readIID(w, r, &req) {
			return
		}
		key, err = s.changeGroup(&req)
	}
	if err != nil {
		writeIIDError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeIID(w, http.StatusOK, map[string]string{"notification_key": key})
}

var errNoGroup = errors.New("notification_key not found")

func (s *Sim) groupKey(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups.byName[name]; g != nil {
		return g.Key, nil
	}
	return "", errNoGroup
}

// changeGroup does what a request asks for, wholly or not at all, and returns
// the group's key.
func (s *Sim) changeGroup(req *groupRequest) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch req.Operation {
	case "create":
		switch {
		case req.Name == "":
			return "", errors.New("notification_key_name is missing")
		case len(req.Name) > 256:
			return "", errors.New("notification_key_name has more than 256 bytes")
		case s.groups.byName[req.Name] != nil:
			return "", errors.New("notification_key already exists")
		case len(s.groups.order) >= maxGroups:
			return "", errors.New("too many device groups")
		}
		g := &Group{Name: req.Name, Key: "APA91b" + randomText(134)}
		if err := s.join(g, req.Tokens); err != nil {
			return "", err
		}
		s.groups.byName[g.Name], s.groups.byKey[g.Key] = g, g
		s.groups.order = append(s.groups.order, g)
		return g.Key, nil
	case "add", "remove":
		g := s.groups.byKey[req.Key]
		switch {
		case g == nil:
			return "", errNoGroup
		case req.Name != "" && req.Name != g.Name:
			return "", errors.New("notification_key_name does not belong to notification_key")
		case req.Operation == "add":
			return g.Key, s.join(g, req.Tokens)
		case len(req.Tokens) == 0:
			return "", errNoTokens
		}
		g.Members = slices.DeleteFunc(g.Members, func(t ccs.RegistrationToken) bool { return slices.Contains(req.Tokens, t) })
		if len(g.Members) == 0 {
			delete(s.groups.byName, g.Name)
			delete(s.groups.byKey, g.Key)
			s.groups.order = slices.DeleteFunc(s.groups.order, func(o *Group) bool { return o == g })
		}
		return g.Key, nil
	default:
		return "", errors.New("operation must be create, add or remove")
	}
}

var errNoTokens = errors.New("no valid registration ids")

// join adds live devices of the simulator's sender to a group. Those that are
// members stay so; one that is unknown refuses all. Called with mu held.
func (s *Sim) join(g *Group, tokens []ccs.RegistrationToken) error {
	if len(tokens) == 0 {
		return errNoTokens
	}
	members := slices.Clone(g.Members)
	for _, token := range tokens {
		d := s.devices[token]
		if d == nil || !d.live || d.sender != s.state.SenderID {
			return errNoTokens
		}
		if !slices.Contains(members, token) {
			members = append(members, token)
		}
	}
	if len(members) > maxGroupMembers {
		return errors.New("a device group has at most 20 members")
	}
	g.Members = members
	return nil
}
