package entityresolution

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
)

// Tag adds tags to a workflow, and adds the workflow if there is none of that name.
func (s *Server) Tag(workflow string, tags map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workflow(workflow)
	s.tag(workflow, tags)
}

func (s *Server) tag(workflow string, tags map[string]string) {
	if s.tags == nil {
		s.tags = make(map[string]map[string]string)
	}
	if s.tags[workflow] == nil {
		s.tags[workflow] = make(map[string]string)
	}
	maps.Copy(s.tags[workflow], tags)
}

// Untag removes tags from a workflow.
func (s *Server) Untag(workflow string, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.tags[workflow], key)
	}
}

// tagOperation returns the operation on a resource's tags that a request asks for,
// and the workflow that its ARN names. Both are empty for another request. Clients
// encode the ARN in the path (Entity Resolution API Reference, ListTagsForResource).
func tagOperation(r *http.Request) (operation, workflow string) {
	arn, ok := strings.CutPrefix(r.URL.Path, "/tags/")
	if !ok {
		return "", ""
	}
	workflow, ok = strings.CutPrefix(arn, WorkflowARN(""))
	if !ok {
		workflow = arn // of no workflow here: the operation responds that it does not exist
	}
	switch r.Method {
	case http.MethodGet:
		return "ListTagsForResource", workflow
	case http.MethodPost:
		return "TagResource", workflow
	case http.MethodDelete:
		return "UntagResource", workflow
	}
	return "", ""
}

func (s *Server) listTags(w http.ResponseWriter, workflow string) {
	tags := map[string]string{}
	maps.Copy(tags, s.tags[workflow])
	_ = json.NewEncoder(w).Encode(map[string]any{"tags": tags})
}

// tagResource accepts what the API Reference's Tag allows: keys of 1 to 128
// characters and values of at most 256.
func (s *Server) tagResource(w http.ResponseWriter, r *http.Request, workflow string) {
	var in struct {
		Tags map[string]string `json:"tags"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Tags == nil {
		httpfault.Exception(w, http.StatusBadRequest, "ValidationException", "tags")
		return
	}
	for key, value := range in.Tags {
		if key == "" || len([]rune(key)) > 128 || len([]rune(value)) > 256 {
			httpfault.Exception(w, http.StatusBadRequest, "ValidationException", "tags")
			return
		}
	}
	s.tag(workflow, in.Tags)
	_, _ = w.Write([]byte("{}"))
}

func (s *Server) untagResource(w http.ResponseWriter, r *http.Request, workflow string) {
	for _, key := range r.URL.Query()["tagKeys"] {
		delete(s.tags[workflow], key)
	}
	_, _ = w.Write([]byte("{}"))
}
