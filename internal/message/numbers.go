package message

import "github.com/idmapping/notifier/internal/jobs"

// labels are the counters' names for people.
var labels = map[jobs.Counter]string{
	jobs.InputRecords:               "Input",
	jobs.TotalRecordsProcessed:      "Processed",
	jobs.RecordsNotProcessed:        "Not processed",
	jobs.DeleteRecordsProcessed:     "Deletes processed",
	jobs.TotalMappedRecords:         "Mapped",
	jobs.TotalMappedSourceRecords:   "Mapped source",
	jobs.TotalMappedTargetRecords:   "Mapped target",
	jobs.UniqueRecordsLoaded:        "Unique loaded",
	jobs.NewMappedRecords:           "New mapped",
	jobs.NewMappedSourceRecords:     "New mapped source",
	jobs.NewMappedTargetRecords:     "New mapped target",
	jobs.NewUniqueRecordsLoaded:     "New unique loaded",
	jobs.MappedRecordsRemoved:       "Removed",
	jobs.MappedSourceRecordsRemoved: "Removed source",
	jobs.MappedTargetRecordsRemoved: "Removed target",
}

// wholes are what the counters are a share of. The other counters count over all
// runs, or records of the target.
var wholes = map[jobs.Counter]jobs.Counter{
	jobs.TotalRecordsProcessed: jobs.InputRecords,
	jobs.RecordsNotProcessed:   jobs.InputRecords,
	jobs.TotalMappedRecords:    jobs.TotalRecordsProcessed,
	jobs.NewMappedRecords:      jobs.TotalRecordsProcessed,
}

// counterRows are all counters that Entity Resolution gave.
func counterRows(m jobs.Metrics) []Number { return numbers(m, jobs.Counters, true) }

// keyNumbers are the counters that tell the story of a run. A zero says nothing,
// except where records were to be deleted.
func keyNumbers(m jobs.Metrics, jobType string) []Number {
	if jobType == "DELETE_ONLY" {
		return numbers(m, []jobs.Counter{jobs.DeleteRecordsProcessed, jobs.MappedRecordsRemoved, jobs.RecordsNotProcessed}, true)
	}
	return numbers(m, []jobs.Counter{jobs.InputRecords, jobs.TotalMappedRecords, jobs.NewMappedRecords, jobs.MappedRecordsRemoved, jobs.RecordsNotProcessed}, false)
}

func numbers(m jobs.Metrics, counters []jobs.Counter, zeros bool) []Number {
	var all []Number
	for _, counter := range counters {
		n, ok := m[counter]
		if !ok || n == 0 && !zeros {
			continue
		}
		row := Number{Label: labels[counter], Value: Grouped(n)}
		if whole := m[wholes[counter]]; whole > 0 && n >= 0 && n <= whole {
			row.Share = Percent(float64(n) / float64(whole))
		}
		all = append(all, row)
	}
	return all
}
