package event

import (
	"testing"

	"pgregory.net/rapid"
)

func FuzzEncode(f *testing.F) { f.Fuzz(rapid.MakeFuzz(readBack(schema(f)))) }
