package event_test

import (
	"testing"

	"pgregory.net/rapid"
)

func FuzzEncode(f *testing.F) { f.Fuzz(rapid.MakeFuzz(roundTrip(schema(f)))) }
