package event

import (
	"net/url"
	"strings"
)

// Links are console URLs.
type Links struct {
	Job      string   `json:"job,omitempty"`
	Workflow string   `json:"workflow,omitempty"`
	Outputs  []string `json:"outputs,omitempty"` // one per output, in order; empty where the path is not an S3 path
}

// consoleDomains are the console's domains by partition ("AWS Management
// Console endpoints", AWS General Reference). A partition that is not listed
// gets no links: no link is better than a wrong one.
var consoleDomains = map[string]string{
	"aws":        "console.aws.amazon.com",
	"aws-cn":     "console.amazonaws.cn",
	"aws-us-gov": "console.amazonaws-us-gov.com",
}

// ConsoleLinks builds the console URLs of an event from its workflow's ARN,
// never from the links that the event contains: those come over a bus on which
// others can publish. It returns nil when the ARN is not the workflow's, or when
// its partition's console is unknown.
//
// The console's routes are not documented. If one changes, the console still
// opens Entity Resolution in the right region.
func ConsoleLinks(d Detail) *Links {
	workflow, err := parseWorkflow(d.WorkflowARN, d.WorkflowName)
	domain, ok := consoleDomains[workflow.Partition]
	if err != nil || !ok {
		return nil
	}
	page := (&url.URL{
		Scheme:   "https",
		Host:     workflow.Region + "." + domain,
		Path:     "/entityresolution/home",
		RawQuery: url.Values{"region": {workflow.Region}}.Encode(),
	}).String() + "#/id-mapping-workflows/" + url.PathEscape(d.WorkflowName)
	links := &Links{Workflow: page}
	if d.JobID != "" {
		links.Job = page + "/jobs/" + url.PathEscape(d.JobID)
	}
	for _, output := range d.Outputs {
		links.Outputs = append(links.Outputs, outputLink(domain, workflow.Region, output.S3Path))
	}
	return links
}

// outputLink returns the S3 console's page of an s3:// path, or "" when the path
// is not one.
func outputLink(domain, region, path string) string {
	rest, ok := strings.CutPrefix(path, "s3://")
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return ""
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return (&url.URL{
		Scheme:   "https",
		Host:     region + "." + domain,
		Path:     "/s3/buckets/" + bucket,
		RawQuery: url.Values{"region": {region}, "prefix": {prefix}}.Encode(),
	}).String()
}
