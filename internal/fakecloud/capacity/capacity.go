// Package capacity computes the units that calls to DynamoDB consume: the stand-in
// reports one unit for any size.
package capacity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// ItemSize is the size of an item by DynamoDB's rule, in bytes: names and values
// in UTF-8, a number one byte per two significant digits and one more, three
// bytes per list or map and one per element (DynamoDB Developer Guide, "DynamoDB
// item sizes and formats").
func ItemSize(item Item) (int, error) {
	size := 0
	for name, raw := range item {
		n, err := valueSize(raw)
		if err != nil {
			return 0, fmt.Errorf("reading attribute %s: %w", name, err)
		}
		size += len(name) + n
	}
	return size, nil
}

func valueSize(raw json.RawMessage) (int, error) {
	var v struct {
		S, N *string
		B    *string
		BOOL *bool
		NULL *bool
		SS   []string
		NS   []string
		BS   []string
		L    *[]json.RawMessage
		M    *map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return 0, err
	}
	size := 0
	switch {
	case v.S != nil:
		return len(*v.S), nil
	case v.N != nil:
		return numberSize(*v.N), nil
	case v.B != nil:
		return base64.StdEncoding.DecodedLen(len(*v.B)), nil
	case v.BOOL != nil, v.NULL != nil:
		return 1, nil
	case v.L != nil:
		for _, element := range *v.L {
			n, err := valueSize(element)
			if err != nil {
				return 0, err
			}
			size += 1 + n
		}
		return 3 + size, nil
	case v.M != nil:
		n, err := ItemSize(*v.M)
		return 3 + len(*v.M) + n, err
	}
	for _, s := range v.SS {
		size += len(s)
	}
	for _, n := range v.NS {
		size += numberSize(n)
	}
	for _, b := range v.BS {
		size += base64.StdEncoding.DecodedLen(len(b))
	}
	return size, nil
}

func numberSize(n string) int {
	digits := strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(n), "0")
	size := (len(digits)+1)/2 + 1
	if strings.HasPrefix(n, "-") {
		size++
	}
	return size
}

// Item is an item as the DynamoDB API encodes it.
type Item = map[string]json.RawMessage

const (
	readUnit  = 4096 // bytes
	writeUnit = 1024 // bytes
)

// WriteUnits are the units that a write of an item of this size consumes, twice
// as many in a transaction (DynamoDB Developer Guide, "Read and write
// operations").
func WriteUnits(size int, transaction bool) float64 {
	units := float64(max(1, (size+writeUnit-1)/writeUnit))
	if transaction {
		units *= 2
	}
	return units
}

// ReadUnits are the units that a read consumes: a Query by the sum of its items'
// sizes, a GetItem by its item's, in steps of 4 KiB, half if eventually
// consistent (DynamoDB Developer Guide, "Read and write operations").
func ReadUnits(operation string, request, response []byte) (float64, error) {
	var in struct{ ConsistentRead bool }
	var out struct {
		Items []Item
		Item  Item
	}
	if err := json.Unmarshal(request, &in); err != nil {
		return 0, err
	}
	if err := json.Unmarshal(response, &out); err != nil {
		return 0, err
	}
	switch operation {
	case "DynamoDB.Query":
	case "DynamoDB.GetItem":
		out.Items = append(out.Items, out.Item)
	default:
		return 0, fmt.Errorf("computing the read units of %s: only those of Query and GetItem are known", operation)
	}
	sum := 0
	for _, item := range out.Items {
		n, err := ItemSize(item)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	units := float64(max(1, (sum+readUnit-1)/readUnit))
	if !in.ConsistentRead {
		units /= 2
	}
	return units, nil
}
