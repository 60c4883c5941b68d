package message

import (
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// maxFindings is how many findings a message spells out.
const maxFindings = 2

// check makes the message of a success one of a success to check.
func (m *Message) check(d event.Detail) {
	m.Severity, m.Word = Check, "SUCCEEDED, BUT CHECK"
	again := true
	m.Lead = nil
	for i, f := range d.Findings {
		again = again && f.Again
		if i < maxFindings {
			m.Lead = append(m.Lead, findingLine(f, d))
		}
	}
	if more := len(d.Findings) - maxFindings; more > 0 {
		m.Lead[maxFindings-1] = append(m.Lead[maxFindings-1], Span{Text: fmt.Sprintf(" (and %s more)", Plural(more, "finding"))})
	}
	if again {
		m.Trend = append([]Line{Plain("The run before had the same.")}, m.Trend...)
	} else {
		m.Loud = true
	}
	m.brief, m.subjectWord = findingBrief(d.Findings[0], d.Metrics), "CHECK"
	m.Steps = append(checkSteps(d.Findings[0].Code), runAgain("Once the cause is fixed, run it again: %s", d, m.Region))
}

// findingBrief is a finding in a few words, for the subject.
func findingBrief(f event.Finding, n jobs.Metrics) string {
	value := ""
	if f.Value != nil {
		value = Percent(*f.Value)
	}
	switch f.Code {
	case jobs.ZeroInput:
		return "0 input records"
	case jobs.ZeroProcessed:
		return "0 processed"
	case jobs.InputLow:
		return "only " + compact(float64(n[jobs.InputRecords])) + " input records"
	case jobs.ZeroMapped:
		return "0 mapped"
	case jobs.MappedLow:
		return value + " mapped"
	case jobs.NotProcessedHigh:
		return value + " not processed"
	case jobs.RemovedHigh:
		return value + " removed"
	default:
		return truncate(OneLine(string(f.Code)), maxWord)
	}
}

// findingLine says what is unusual, and what would be usual.
func findingLine(f event.Finding, d event.Detail) Line {
	n := d.Metrics
	value := ""
	if f.Value != nil {
		value = Percent(*f.Value)
	}
	var what string
	switch f.Code {
	case jobs.ZeroInput:
		what = "The input had 0 records"
	case jobs.ZeroProcessed:
		return Line{{Text: "0 of " + Grouped(n[jobs.InputRecords]) + " input records were processed", Bold: true}}
	case jobs.InputLow:
		what = "The input had only " + Grouped(n[jobs.InputRecords]) + " records"
	case jobs.ZeroMapped:
		what = "0 of " + Grouped(n[jobs.TotalRecordsProcessed]) + " records mapped"
	case jobs.MappedLow:
		what = value + " mapped (" + Grouped(n[jobs.TotalMappedRecords]) + " of " + Grouped(n[jobs.TotalRecordsProcessed]) + " records)"
	case jobs.NotProcessedHigh:
		what = value + " of the input not processed (" + Grouped(n[jobs.RecordsNotProcessed]) + " records)"
	case jobs.RemovedHigh:
		what = value + " of the mapped records removed (" + Grouped(n[jobs.MappedRecordsRemoved]) + ", beside " + Grouped(n[jobs.TotalMappedRecords]) + " that stay mapped)"
	default: // of a later version
		return Line{{Text: truncate(OneLine(string(f.Code)), maxWord), Outside: true}}
	}
	l := Line{{Text: what, Bold: true}}
	if f.Low != nil && f.High != nil {
		l = append(l, Span{Text: fmt.Sprintf(", usually %s (%s)", rangeText(f.Measure, *f.Low, *f.High), lastRuns(f.Runs))})
	}
	return l
}

// checkSteps are what to check, by the code of a finding. The causes of records
// that are not processed are those of the user guide ("Troubleshooting", matching
// workflows: rejected records are written to the error folder).
func checkSteps(code jobs.FindingCode) []Line {
	hold := Plain("Hold back whatever reads this output.")
	switch code {
	case jobs.ZeroInput, jobs.InputLow:
		return []Line{hold, Plain("Check whatever writes the input: did today's export finish, and into the table and partition that the workflow reads?"),
			Plain("Compare the number of input rows with the last good run.")}
	case jobs.ZeroProcessed:
		return []Line{hold, {{Text: "Look in the "}, {Text: "error/", Code: true}, {Text: " folder of the output for the rejected records."}},
			Plain("Check the input's unique IDs: none may be empty or repeated.")}
	case jobs.ZeroMapped, jobs.MappedLow:
		return []Line{hold, Plain("Compare today's input with the last good run: columns, key fields and their format, number of rows."),
			Plain("Check that the target still has its records.")}
	case jobs.NotProcessedHigh:
		return []Line{hold, {{Text: "Look in the "}, {Text: "error/", Code: true}, {Text: " folder of the output for the rejected records."}},
			Plain("Check the unique IDs: empty, repeated, or longer than 38 characters."),
			Plain("Check the schema mapping for reserved names such as EmailAddress, MatchID or Source.")}
	case jobs.RemovedHigh:
		return []Line{hold, Plain("Check whether records were removed from the source or the target on purpose."),
			Plain("Compare the number of rows of both with the last good run.")}
	default:
		return []Line{hold, Plain("Compare the run with the last good one.")}
	}
}
