package deployment

import (
	"slices"
	"testing"
)

func TestVerifiedDomainCoversItsSubdomains(t *testing.T) {
	want := []string{"a@x.example.com", "x.example.com", "example.com"}
	if got := identities("a@x.example.com"); !slices.Equal(got, want) {
		t.Errorf("the identities are %v, want %v", got, want)
	}
}
