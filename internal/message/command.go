package message

import (
	"strings"

	"github.com/idmapping/notifier/internal/event"
)

// startCommand returns the command that starts the workflow again, or "" when its
// name cannot be written in one. Source: CLI start-id-mapping-job.html.
func startCommand(d event.Detail, region string) string {
	name := d.WorkflowName
	// The CLI reads a file in place of a value like file://x. A workflow's name has
	// at most 255 characters (CreateIdMappingWorkflow).
	if name == "" || len(name) > 255 || name != OneLine(name) || name[0] == '-' || strings.Contains(name, "://") {
		return ""
	}
	command := "aws entityresolution start-id-mapping-job --workflow-name " + shellQuote(name)
	if d.JobType == "DELETE_ONLY" { // never the default of a workflow
		command += " --job-type DELETE_ONLY"
	}
	if isName(region) {
		command += " --region " + region
	}
	return command
}

// shellQuote quotes a word for a POSIX shell if it needs it.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@,+=", r)
	}
	if !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// isName reports whether s can be a region, which only letters, digits and
// hyphens can.
func isName(s string) bool {
	return s != "" && s[0] != '-' && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	})
}
