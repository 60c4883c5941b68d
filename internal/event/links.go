package event

import (
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// consoles are the console's domains by partition ("AWS Management Console
// endpoints" in the AWS General Reference). A partition that is not here gets
// no links: none is better than a wrong one.
var consoles = map[string]string{
	"aws":        "console.aws.amazon.com",
	"aws-cn":     "console.amazonaws.cn",
	"aws-us-gov": "console.amazonaws-us-gov.com",
}

// links builds the console's URLs from parsed parts. The console's routes are
// not documented; where one should change, the console still opens Entity
// Resolution in the right region.
func links(workflow arn.ARN, d Detail) *Links {
	domain, ok := consoles[workflow.Partition]
	if !ok || workflow.Region == "" {
		return nil
	}
	page := (&url.URL{
		Scheme:   "https",
		Host:     workflow.Region + "." + domain,
		Path:     "/entityresolution/home",
		RawQuery: url.Values{"region": {workflow.Region}}.Encode(),
	}).String() + "#/id-mapping-workflows/" + url.PathEscape(d.WorkflowName)
	l := &Links{
		Workflow: page,
		Job:      page + "/jobs/" + url.PathEscape(d.JobID),
	}
	for _, output := range d.Outputs {
		l.Outputs = append(l.Outputs, outputLink(domain, workflow.Region, output.S3Path))
	}
	return l
}

// outputLink is the S3 console's page of an s3:// path, or empty when the path
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
