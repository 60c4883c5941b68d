package aws

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// What the proxy answers instead of moto, or corrects in moto's answers.
const (
	accountPath    = "/v2/email/account"     // SES API v2, GetAccount: moto has none
	identitiesPath = "/v2/email/identities/" // GetEmailIdentity
	mappingsPath   = "/2015-03-31/event-source-mappings"
)

// SetSandbox puts the account into the SES sandbox, or takes it out. It only
// changes what GetAccount says: every email is accepted.
func (p *Proxy) SetSandbox(sandbox bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sandbox = sandbox
}

func (p *Proxy) inSandbox() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sandbox
}

// ShowMapping sets the state that an event source mapping has for clients, such as
// Enabled. It does not stop the mapping.
func (p *Proxy) ShowMapping(uuid, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mappings == nil {
		p.mappings = make(map[string]string)
	}
	p.mappings[uuid] = state
}

func (p *Proxy) shownMappings() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.mappings)
}

// AddResource adds a resource to every stack that ListStackResources lists.
func (p *Proxy) AddResource(logicalID, physicalID, resourceType string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resources += "<member><LogicalResourceId>" + logicalID + "</LogicalResourceId><PhysicalResourceId>" + physicalID +
		"</PhysicalResourceId><ResourceType>" + resourceType + "</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
}

func (p *Proxy) addedResources() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resources
}

// insert adds text to an answer, before its first occurrence of mark.
func (r *recorder) insert(mark, text string) {
	body := strings.Replace(r.body.String(), mark, text+mark, 1)
	r.body.Reset()
	r.body.WriteString(body)
	r.header.Del("Content-Length")
}

// account writes the answer to GetAccount.
func (r *recorder) account(sandbox bool) {
	r.header.Set("Content-Type", "application/json")
	_ = json.NewEncoder(&r.body).Encode(map[string]any{"ProductionAccessEnabled": !sandbox, "SendingEnabled": true, "EnforcementStatus": "HEALTHY",
		"SendQuota": map[string]float64{"Max24HourSend": 200, "MaxSendRate": 1, "SentLast24Hours": 0}})
}

// correct changes moto's answers: it verifies an identity at once and still says
// that it is not verified for sending, its mappings are disabled because the cloud
// plays them itself, and its CloudFormation knows no schedules.
func (p *Proxy) correct(name string, answer *recorder, r *http.Request) {
	switch {
	case answer.status != http.StatusOK:
	case name == "ListStackResources":
		answer.insert("</StackResourceSummaries>", p.addedResources())
	case r.Method != http.MethodGet:
	case strings.HasPrefix(r.URL.Path, identitiesPath):
		answer.rewrite(func(body map[string]any) { body["VerifiedForSendingStatus"] = body["VerificationStatus"] == "SUCCESS" })
	case strings.TrimSuffix(r.URL.Path, "/") == mappingsPath:
		states := p.shownMappings()
		answer.rewrite(func(body map[string]any) {
			all, _ := body["EventSourceMappings"].([]any)
			for _, one := range all {
				if mapping, ok := one.(map[string]any); ok {
					if uuid, _ := mapping["UUID"].(string); states[uuid] != "" {
						mapping["State"] = states[uuid]
					}
				}
			}
		})
	}
}

// rewrite changes an answer in JSON.
func (r *recorder) rewrite(change func(body map[string]any)) {
	var body map[string]any
	if json.Unmarshal(r.body.Bytes(), &body) != nil {
		return
	}
	change(body)
	r.body.Reset()
	_ = json.NewEncoder(&r.body).Encode(body)
	r.header.Del("Content-Length")
}
