package email

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/tags"
)

func TestTagNamesOnlyAddressesInDomainsOfTheStack(t *testing.T) {
	from, to := "notifier@mail.example.com", []string{"a@Example.com", "b@example.org"}
	for address, want := range map[string]bool{
		"x@mail.example.com": true, "x@example.com": true, "x@EXAMPLE.ORG": true, "a@Example.com": true,
		"x@evil.example": false, "x@sub.example.com": false, "x@example.com.evil.example": false, "x@notexample.com": false, "x@com": false,
		"example.com": false, "x@example.com@evil.example": false, "x@": false, "": false,
	} {
		allowed, refused := Allowed([]string{address}, from, to)
		if got := slices.Equal(allowed, []string{address}); got != want || slices.Equal(refused, []string{address}) == want {
			t.Errorf("%q: allowed %q, refused %q", address, allowed, refused)
		}
	}
}

func TestTaggedAddressesAreRoutedAndTheOthersLogged(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	r := &Recipients{From: "notifier@example.com", To: []string{"a@example.com", "b@example.org"}, Options: Options{Stack: "idmapping"}}
	for own, want := range map[string][]string{
		"":                              nil,
		"c@evil.example d@evil.example": nil, // those of the stack
		"c@example.com":                 {"email:c@example.com"},
		"c@evil.example, b@example.org c@example.com": {"email:b@example.org", "email:c@example.com"},
	} {
		log.Reset()
		var got []string
		for _, d := range r.Route(tags.Parse(map[string]string{"email": own}, now)) {
			got = append(got, d.ID())
		}
		if !slices.Equal(got, want) || strings.Count(log.String(), "address in a tag ignored") != strings.Count(own, "evil") {
			t.Errorf("%q: %q, log %s", own, got, log.String())
		}
	}
	all := r.All()
	if len(all) != 2 || r.Route(tags.Settings{Emails: []string{"a@example.com"}})[0] != all[0] || r.Route(tags.Settings{Emails: []string{"c@example.com"}})[0] != r.Route(tags.Settings{Emails: []string{"c@example.com"}})[0] {
		t.Error("an address has two recipients")
	}
}

func TestFooterOfATaggedRecipientNamesTheTag(t *testing.T) {
	r := &Recipients{From: "notifier@example.com", To: []string{"a@example.com"}, Options: Options{Stack: "idmapping"}}
	m := message.Message{WorkflowName: "crm"}
	if got := r.Route(tags.Settings{Emails: []string{"c@example.com"}})[0].(*Recipient).reason(m); !strings.Contains(got, "the tag idmapping:email of the ID mapping workflow crm names c@example.com") {
		t.Error(got)
	}
	if got := r.Route(tags.Settings{Emails: []string{"a@example.com"}})[0].(*Recipient).reason(m); got != Reason("a@example.com", "idmapping") {
		t.Error(got)
	}
	if got := r.Route(tags.Settings{Emails: []string{"c@example.com"}})[0].(*Recipient).reason(message.Message{}); strings.Contains(got, "workflow  names") {
		t.Errorf("of a summary: %s", got)
	}
}
