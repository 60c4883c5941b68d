package notify_test

import (
	"testing"

	"github.com/idmapping/notifier/internal/jobs"
)

// An arbitrary message between two good ones is sent, skipped or dead-lettered,
// and never keeps the others from being sent.
func FuzzBody(f *testing.F) {
	for _, b := range []string{"", "{", "null", body("1", jobs.Failed, 0), canary(true), canary(false),
		`{"source":"idmapping.notifier","detail-type":"ID Mapping Job State Change","detail":{"version":"1","transitionId":"x","workflowName":"w","jobId":"j","status":"\u0000","observedAt":"9999-12-31T23:59:59Z"}}`} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, outside string) {
		w := newWorld(0, "a")
		w.queue.Put(body("1", jobs.Failed, 0))
		w.queue.Put(outside)
		w.queue.Put(body("2", jobs.Succeeded, 1))
		response := w.deliver(t)
		if len(response.BatchItemFailures) != 0 || w.queue.Len() != 0 {
			t.Errorf("%q is retried: %+v", outside, response)
		}
		times := map[string]int{}
		for _, sent := range w.destinations[0].Sent() {
			times[sent.Delivery.Message.JobID+string(sent.Delivery.Message.Status)]++
		}
		if times["1FAILED"] < 1 || times["2SUCCEEDED"] < 1 {
			t.Errorf("beside %q were sent %v", outside, times)
		}
	})
}
