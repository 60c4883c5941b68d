package message

import "github.com/idmapping/notifier/internal/jobs"

// labels are the counters' names for people.
var labels = map[jobs.Counter]string{
	jobs.InputRecords:               "Input records",
	jobs.TotalRecordsProcessed:      "Records processed",
	jobs.RecordsNotProcessed:        "Records not processed",
	jobs.DeleteRecordsProcessed:     "Delete records processed",
	jobs.TotalMappedRecords:         "Mapped records",
	jobs.TotalMappedSourceRecords:   "Mapped source records",
	jobs.TotalMappedTargetRecords:   "Mapped target records",
	jobs.UniqueRecordsLoaded:        "Unique records loaded",
	jobs.NewMappedRecords:           "New mapped records",
	jobs.NewMappedSourceRecords:     "New mapped source records",
	jobs.NewMappedTargetRecords:     "New mapped target records",
	jobs.NewUniqueRecordsLoaded:     "New unique records loaded",
	jobs.MappedRecordsRemoved:       "Mapped records removed",
	jobs.MappedSourceRecordsRemoved: "Mapped source records removed",
	jobs.MappedTargetRecordsRemoved: "Mapped target records removed",
}

// partOfInput are the counters that count records of this run's input, so that
// their share of it is meaningful. The others count over all runs, or records of
// the target.
var partOfInput = map[jobs.Counter]bool{
	jobs.TotalRecordsProcessed:  true,
	jobs.RecordsNotProcessed:    true,
	jobs.DeleteRecordsProcessed: true,
	jobs.TotalMappedRecords:     true,
	jobs.NewMappedRecords:       true,
}

func metricRows(m jobs.Metrics) []Metric {
	var all []Metric
	input := m[jobs.InputRecords]
	for _, counter := range jobs.Counters {
		n, ok := m[counter]
		if !ok {
			continue
		}
		row := Metric{Label: labels[counter], Value: Grouped(n)}
		if partOfInput[counter] && input > 0 && n >= 0 && n <= input {
			row.Share = Percent(float64(n) / float64(input))
		}
		all = append(all, row)
	}
	return all
}
