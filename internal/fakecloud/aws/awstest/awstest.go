// Package awstest shares a moto server among tests.
package awstest

import (
	"context"
	"sync"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

var shared struct {
	once sync.Once
	moto *aws.Moto
	err  error
}

// Moto returns the moto server that all tests of one binary share. The server dies
// with the binary. Tests use distinct names to keep apart. Without moto it skips the
// test (samtest.RequirePython).
func Moto(t *testing.T) *aws.Moto {
	t.Helper()
	samtest.RequirePython(t)
	shared.once.Do(func() { shared.moto, shared.err = aws.StartMoto(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.moto
}
