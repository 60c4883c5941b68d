package jobs

// Counter names one of the API's job metrics, as IdMappingJobMetrics spells it.
type Counter string

// The counters of IdMappingJobMetrics. All count records and all are optional.
const (
	InputRecords               Counter = "inputRecords"
	TotalRecordsProcessed      Counter = "totalRecordsProcessed"
	RecordsNotProcessed        Counter = "recordsNotProcessed"
	DeleteRecordsProcessed     Counter = "deleteRecordsProcessed"
	TotalMappedRecords         Counter = "totalMappedRecords"
	TotalMappedSourceRecords   Counter = "totalMappedSourceRecords"
	TotalMappedTargetRecords   Counter = "totalMappedTargetRecords"
	UniqueRecordsLoaded        Counter = "uniqueRecordsLoaded"
	NewMappedRecords           Counter = "newMappedRecords"
	NewMappedSourceRecords     Counter = "newMappedSourceRecords"
	NewMappedTargetRecords     Counter = "newMappedTargetRecords"
	NewUniqueRecordsLoaded     Counter = "newUniqueRecordsLoaded"
	MappedRecordsRemoved       Counter = "mappedRecordsRemoved"
	MappedSourceRecordsRemoved Counter = "mappedSourceRecordsRemoved"
	MappedTargetRecordsRemoved Counter = "mappedTargetRecordsRemoved"
)

// Counters lists every counter in the order of the API's reference.
var Counters = []Counter{
	InputRecords, TotalRecordsProcessed, RecordsNotProcessed, DeleteRecordsProcessed,
	TotalMappedRecords, TotalMappedSourceRecords, TotalMappedTargetRecords,
	UniqueRecordsLoaded,
	NewMappedRecords, NewMappedSourceRecords, NewMappedTargetRecords,
	NewUniqueRecordsLoaded,
	MappedRecordsRemoved, MappedSourceRecordsRemoved, MappedTargetRecordsRemoved,
}

// Metrics holds the counters that the API gave, in records. A counter that was
// not given is not in the map: absent and zero are different facts.
type Metrics map[Counter]int64

// MappedRate is totalMappedRecords / totalRecordsProcessed: a fraction, false
// when a counter is missing or nothing was processed.
func (m Metrics) MappedRate() (float64, bool) {
	return m.ratio(TotalMappedRecords, TotalRecordsProcessed)
}

// NotProcessedRate is recordsNotProcessed / inputRecords: a fraction, false
// when a counter is missing or there was no input.
func (m Metrics) NotProcessedRate() (float64, bool) {
	return m.ratio(RecordsNotProcessed, InputRecords)
}

func (m Metrics) ratio(part, whole Counter) (float64, bool) {
	p, ok := m[part]
	w, ok2 := m[whole]
	if !ok || !ok2 || w <= 0 || p < 0 {
		return 0, false
	}
	return float64(p) / float64(w), true
}
