package slack

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
)

func TestAccessShowsScopesAndMembership(t *testing.T) {
	fake := &fakeslack.Server{Token: "xoxb-1", Channels: []string{"C1", "C2"}}
	server := httptest.NewServer(fake)
	defer server.Close()
	fake.Kick("C2")
	a, err := Authenticate(t.Context(), "xoxb-1", server.URL+"/api/")
	if err != nil || a.Team != "Example" || a.Bot != "id-mapping" || !a.Has("chat:write") || a.Has("chat:write.public") {
		t.Fatalf("the access is %+v (%v)", a, err)
	}
	for id, member := range map[string]bool{"C1": true, "C2": false} {
		if c, err := a.Channel(t.Context(), id); err != nil || c.Member != member || c.Private || c.Archived {
			t.Errorf("channel %s is %+v (%v)", id, c, err)
		}
	}
	wantCode := func(err error, code string) {
		t.Helper()
		if got, ok := errors.AsType[*AccessError](err); !ok || got.Code != code {
			t.Errorf("the error is %v, want code %s", err, code)
		}
	}
	_, err = a.Channel(t.Context(), "C3")
	wantCode(err, "channel_not_found")
	fake.Grant("chat:write")
	_, err = a.Channel(t.Context(), "C1")
	wantCode(err, "missing_scope")
}

func TestAccessErrorHoldsNoToken(t *testing.T) {
	server := httptest.NewServer(&fakeslack.Server{Token: "xoxb-1"})
	defer server.Close()
	for _, url := range []string{server.URL + "/api/", "http://127.0.0.1:1/xoxb-2/"} {
		if _, err := Authenticate(t.Context(), "xoxb-2", url); err == nil || strings.Contains(err.Error(), "xoxb-2") {
			t.Errorf("the error is %v", err)
		}
	}
}
