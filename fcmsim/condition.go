package fcmsim

import (
	"errors"
	"fmt"
	"strings"
)

// The bounds of a condition. Five topics are what Google documents; the depth
// only keeps the parser's stack small.
const (
	maxConditionTopics = 5
	maxConditionDepth  = 16
)

// A condition decides by the topics that a device is subscribed to.
type condition func(subscribed func(topic string) bool) bool

// parseCondition reads 'A' in topics && ('B' in topics || 'C' in topics). As
// with Google, parentheses come first and the rest goes from left to right:
// && does not bind more tightly than ||.
func parseCondition(text string) (condition, error) {
	return (&conditionParser{rest: text}).parse()
}

// parseV1Condition is the same for HTTP v1, which knows ! too, in front of a
// topic or of parentheses.
func parseV1Condition(text string) (condition, error) {
	return (&conditionParser{rest: text, not: true}).parse()
}

func (p *conditionParser) parse() (condition, error) {
	c, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, fmt.Errorf("%.20q is not expected", p.rest)
	}
	return c, nil
}

type conditionParser struct {
	rest   string
	topics int
	not    bool // ! is known
}

func (p *conditionParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take passes over a word, whatever its case, and reports whether it was there.
func (p *conditionParser) take(word string) bool {
	p.space()
	if len(p.rest) < len(word) || !strings.EqualFold(p.rest[:len(word)], word) {
		return false
	}
	p.rest = p.rest[len(word):]
	return true
}

func (p *conditionParser) expression(depth int) (condition, error) {
	left, err := p.term(depth)
	if err != nil {
		return nil, err
	}
	for {
		and := p.take("&&")
		if !and && !p.take("||") {
			return left, nil
		}
		l := left
		r, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		if and {
			left = func(on func(string) bool) bool { return l(on) && r(on) }
		} else {
			left = func(on func(string) bool) bool { return l(on) || r(on) }
		}
	}
}

func (p *conditionParser) term(depth int) (condition, error) {
	if p.not && p.take("!") {
		if depth >= maxConditionDepth {
			return nil, errors.New("too many ! follow each other")
		}
		c, err := p.term(depth + 1)
		if err != nil {
			return nil, err
		}
		return func(on func(string) bool) bool { return !c(on) }, nil
	}
	if p.take("(") {
		if depth >= maxConditionDepth {
			return nil, errors.New("parentheses nest too deeply")
		}
		c, err := p.expression(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, errors.New("a closing parenthesis is missing")
		}
		return c, nil
	}
	if !p.take("'") {
		return nil, errors.New("a topic in single quotes is missing")
	}
	name, rest, closed := strings.Cut(p.rest, "'")
	p.rest = rest
	switch {
	case !closed:
		return nil, errors.New("a closing quote is missing")
	case !isTopicName(name):
		return nil, errors.New("a topic's name is not legal")
	case !p.take("in") || !p.take("topics"):
		return nil, errors.New(`"in topics" is missing behind a topic`)
	}
	if p.topics++; p.topics > maxConditionTopics {
		return nil, fmt.Errorf("more than %d topics", maxConditionTopics)
	}
	return func(on func(string) bool) bool { return on(name) }, nil
}

// topicPrefix begins a target that is a topic.
const topicPrefix = "/topics/"

func isTopicName(name string) bool {
	if name == "" || len(name) > 900 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-_.~%", c) >= 0:
		default:
			return false
		}
	}
	return true
}
