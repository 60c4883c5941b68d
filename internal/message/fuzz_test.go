package message_test

import (
	"testing"

	"pgregory.net/rapid"
)

func FuzzCompose(f *testing.F) { f.Fuzz(rapid.MakeFuzz(wellFormed)) }
