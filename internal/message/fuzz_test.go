package message_test

import (
	"testing"

	"github.com/idmapping/notifier/internal/event/eventtest"
)

func FuzzCompose(f *testing.F) { eventtest.Fuzz(f, wellFormed) }
