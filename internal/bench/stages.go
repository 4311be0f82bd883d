package bench

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The stages of a message on its way through the gateway.
const (
	stageRead      = "read"      // from the socket to the lane: TLS, XML, JSON, rules, ids
	stageTranslate = "translate" // from CCS's words to v1's, and to JSON
	stageSend      = "send"      // the lane, the pool, HTTP/2, TLS, to the socket
	stageAnswer    = "answer"    // from the socket to the verdict, and back to the stream
	stageRuntime   = "runtime"   // what no stage can be told of: the scheduler, the collector
)

// stageOf is the stage of one sample by the functions on its stack: the first
// rule counts that any of them meets.
var stageRules = []struct{ stage, function string }{
	{stageTranslate, "penstock/internal/translate.ToV1"},
	{stageTranslate, "penstock/internal/translate.Age"},
	{stageTranslate, "penstock/fcm.(*SendRequest)"},
	{stageAnswer, "penstock/internal/front/ccs.(*Handler).Downstream.func"}, // the lane's answer
	{stageAnswer, "penstock/fcmsend.(*h2conn).read"},
	{stageAnswer, "penstock/fcmsend.(*call).outcome"},
	{stageAnswer, "penstock/ccsserver.(*Request).Answer"},
	{stageAnswer, "penstock/internal/xmpp.(*Writer)"},
	{stageSend, "penstock/internal/downstream."},
	{stageSend, "penstock/fcmsend."},
	{stageRead, "penstock/ccsserver."},
	{stageRead, "penstock/internal/xmpp."},
}

func stageOf(functions []string) string {
	for _, rule := range stageRules {
		for _, f := range functions {
			if strings.HasPrefix(f, rule.function) {
				return rule.stage
			}
		}
	}
	return stageRuntime
}

// stagesOf is the share of each stage in a CPU profile.
func stagesOf(profile []byte) (map[string]float64, error) {
	samples, err := readProfile(profile)
	if err != nil {
		return nil, fmt.Errorf("the CPU profile: %w", err)
	}
	shares, total := make(map[string]float64), 0.0
	for _, s := range samples {
		shares[stageOf(s.functions)] += float64(s.value)
		total += float64(s.value)
	}
	if total == 0 {
		return nil, errors.New("the CPU profile is empty")
	}
	for stage := range shares {
		shares[stage] /= total
	}
	return shares, nil
}

// A sample of a CPU profile: a stack and the time that was spent there.
type sample struct {
	functions []string
	value     int64
}

// The fields of a profile that are read here (github.com/google/pprof,
// proto/profile.proto).
const (
	profileSample   = 2
	profileLocation = 4
	profileFunction = 5
	profileString   = 6

	sampleLocation = 1
	sampleValue    = 2 // the last one is nanoseconds

	locationID   = 1
	locationLine = 4
	lineFunction = 1

	functionID   = 1
	functionName = 2
)

func readProfile(packed []byte) ([]sample, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	var stacks [][]uint64
	var values []int64
	var table []string
	names := make(map[uint64]uint64)       // of functions, in table
	locations := make(map[uint64][]uint64) // functions, those inlined too
	err = fields(text, func(number protowire.Number, _ uint64, sub []byte) error {
		switch number {
		case profileString:
			table = append(table, string(sub))
		case profileFunction:
			var id, name uint64
			defer func() { names[id] = name }()
			return fields(sub, func(number protowire.Number, v uint64, _ []byte) error {
				switch number {
				case functionID:
					id = v
				case functionName:
					name = v
				}
				return nil
			})
		case profileLocation:
			var id uint64
			var list []uint64
			defer func() { locations[id] = list }()
			return fields(sub, func(number protowire.Number, v uint64, sub []byte) error {
				switch number {
				case locationID:
					id = v
				case locationLine:
					return fields(sub, func(number protowire.Number, v uint64, _ []byte) error {
						if number == lineFunction {
							list = append(list, v)
						}
						return nil
					})
				}
				return nil
			})
		case profileSample:
			var stack []uint64
			var last uint64
			defer func() { stacks, values = append(stacks, stack), append(values, int64(last)) }()
			return fields(sub, func(number protowire.Number, v uint64, sub []byte) error {
				list := []uint64{v}
				if sub != nil {
					if list, err = varints(sub); err != nil {
						return err
					}
				}
				switch number {
				case sampleLocation:
					stack = append(stack, list...)
				case sampleValue:
					last = list[len(list)-1]
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	samples := make([]sample, len(stacks))
	for i, stack := range stacks {
		samples[i].value = values[i]
		for _, l := range stack {
			for _, f := range locations[l] {
				if n := names[f]; n < uint64(len(table)) {
					samples[i].functions = append(samples[i].functions, table[n])
				}
			}
		}
	}
	return samples, nil
}

// fields calls take for each field of a message: v is a number's value, sub the
// bytes of what has a length.
func fields(text []byte, take func(number protowire.Number, v uint64, sub []byte) error) error {
	for len(text) > 0 {
		number, kind, n := protowire.ConsumeTag(text)
		if n < 0 {
			return protowire.ParseError(n)
		}
		text = text[n:]
		var v uint64
		var sub []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(text)
		case protowire.BytesType:
			sub, n = protowire.ConsumeBytes(text)
		default:
			n = protowire.ConsumeFieldValue(number, kind, text)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		text = text[n:]
		if err := take(number, v, sub); err != nil {
			return err
		}
	}
	return nil
}

func varints(text []byte) ([]uint64, error) {
	var list []uint64
	for len(text) > 0 {
		v, n := protowire.ConsumeVarint(text)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		list, text = append(list, v), text[n:]
	}
	if len(list) == 0 {
		return nil, errors.New("an empty list")
	}
	return list, nil
}
