package message_test

import (
	"testing"

	"github.com/idmapping/notifier/internal/event/drawn"
)

func FuzzCompose(f *testing.F) { drawn.Fuzz(f, wellFormed) }
