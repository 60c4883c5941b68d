package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/runs"
)

// historyPage measures how long idmapping history computes and draws, without reading.
func historyPage() ([]row, error) {
	const n = 5000
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var records []jobs.Record
	for i := range n {
		start := begin.Add(time.Duration(i) * time.Hour)
		records = append(records, jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: strconv.Itoa(i)}, Type: "BATCH", Status: jobs.Succeeded,
			StartTime: start, EndTime: start.Add(time.Duration(20+i%11) * time.Minute),
			Metrics: jobs.Metrics{jobs.InputRecords: 1_000_000, jobs.TotalRecordsProcessed: 990_000, jobs.RecordsNotProcessed: int64(10_000 + i%13*100), jobs.TotalMappedRecords: int64(650_000 + i%17*1000)}}})
	}
	about := runs.About{Workflow: "crm", Stack: "bench", Now: begin, Zone: time.UTC}
	var took []float64
	var page bytes.Buffer
	for range 5 {
		page.Reset()
		from := time.Now()
		if err := runs.Page(&page, runs.Of(records, nil), about); err != nil {
			return nil, err
		}
		took = append(took, time.Since(from).Seconds()*1000)
	}
	return []row{{what: "idmapping history --html: ranges and page of 5,000 runs", measured: fmt.Sprintf("%.0f ms, %d KB", median(took), page.Len()>>10)}}, nil
}
