package capacity

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestItemSizeFollowsTheDocumentedRule(t *testing.T) {
	for value, want := range map[string]int{
		`{"S":"Grüße"}`:                     7,
		`{"N":"0"}`:                         1,
		`{"N":"1700000000"}`:                2,
		`{"N":"-12345"}`:                    5,
		`{"N":"0.25"}`:                      2,
		`{"BOOL":true}`:                     1,
		`{"NULL":true}`:                     1,
		`{"L":[]}`:                          3,
		`{"L":[{"S":"ab"},{"N":"12"}]}`:     3 + 1 + 2 + 1 + 2,
		`{"M":{"key":{"S":"ab"}}}`:          3 + 1 + 3 + 2,
		`{"SS":["ab","cde"]}`:               5,
		`{"B":"YWJj"}`:                      3,
		`{"M":{"k":{"L":[{"BOOL":true}]}}}`: 3 + 1 + 1 + 3 + 1 + 1,
	} {
		got, err := ItemSize(map[string]json.RawMessage{"name": json.RawMessage(value)})
		if err != nil || got != 4+want {
			t.Errorf("%s has size %d (%v), want 4 for the name and %d", value, got, err, want)
		}
	}
}

func TestReadUnitsRoundUpTheSumOfAQuery(t *testing.T) {
	item := func(bytes int) string { return fmt.Sprintf(`{"a":{"S":%q}}`, strings.Repeat("x", bytes-1)) }
	for _, c := range []struct {
		operation, request, response string
		want                         float64
	}{
		{"DynamoDB.Query", `{"ConsistentRead":true}`, `{"Items":[]}`, 1},
		{"DynamoDB.Query", `{"ConsistentRead":true}`, `{"Items":[` + item(4096) + `]}`, 1},
		{"DynamoDB.Query", `{"ConsistentRead":true}`, `{"Items":[` + item(4090) + `,` + item(7) + `]}`, 2},
		{"DynamoDB.Query", `{}`, `{"Items":[` + item(4097) + `]}`, 1},
		{"DynamoDB.GetItem", `{"ConsistentRead":true}`, `{"Item":` + item(4097) + `}`, 2},
	} {
		got, err := ReadUnits(c.operation, []byte(c.request), []byte(c.response))
		if err != nil || got != c.want {
			t.Errorf("%s %s: %v units (%v), want %v", c.operation, c.request, got, err, c.want)
		}
	}
	if _, err := ReadUnits("DynamoDB.Scan", []byte("{}"), []byte("{}")); err == nil {
		t.Error("a scan has read units")
	}
}

func TestWriteUnitsRoundUpAndDoubleInATransaction(t *testing.T) {
	for size, want := range map[int]float64{0: 1, 1: 1, 1024: 1, 1025: 2, 4096: 4} {
		if one, two := WriteUnits(size, false), WriteUnits(size, true); one != want || two != 2*want {
			t.Errorf("%d bytes: %v units, %v in a transaction, want %v", size, one, two, want)
		}
	}
}
