package message_test

import (
	"testing"

	"github.com/idmapping/notifier/internal/messagetest"
)

func FuzzCompose(f *testing.F) { messagetest.Fuzz(f, wellFormed) }
