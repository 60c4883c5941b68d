package template

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

var update = flag.Bool("update", false, "put docs/event.schema.json into template.yaml anew")

// CloudFormation cannot read a file, so the template has a copy.
func TestRegisteredSchemaIsTheDocumentedOne(t *testing.T) {
	documented := readFromRoot(t, "docs/event.schema.json")
	if *update {
		putSchema(t, documented)
	}
	s := deploy(t, "us-east-1", toSlackAndEmail)
	schema := s.resource(t, "AWS::EventSchemas::Schema", "EventSchema")
	if schema["Type"] != "JSONSchemaDraft4" || schema["RegistryName"] != "EventRegistry.RegistryName" {
		t.Errorf("the schema is %v in registry %v", schema["Type"], schema["RegistryName"])
	}
	var got, want map[string]any
	if err := json.Unmarshal([]byte(text(schema["Content"])), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(documented), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("template.yaml holds another schema than docs/event.schema.json: run make golden")
	}
	// EventBridge Schemas takes Draft 4 or OpenAPI 3 only (API reference,
	// CreateSchema), and up to 100,000 characters.
	if want["$schema"] != "http://json-schema.org/draft-04/schema#" || len(text(schema["Content"])) > 100_000 {
		t.Errorf("the schema is %v of %d characters", want["$schema"], len(text(schema["Content"])))
	}
}

// putSchema replaces the block that follows the schema's Content key.
func putSchema(t *testing.T, schema string) {
	t.Helper()
	block := regexp.MustCompile(`(?m)( +Content: \|\n)(?:^ {8}.*\n)+`)
	source := readFromRoot(t, "template.yaml")
	if len(block.FindAllString(source, -1)) != 1 {
		t.Fatal("template.yaml does not have exactly one Content block")
	}
	source = block.ReplaceAllStringFunc(source, func(old string) string {
		key, _, _ := strings.Cut(old, "\n")
		return key + "\n        " + layout(t, json.RawMessage(schema), "        ") + "\n"
	})
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "template.yaml"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
}

// layout formats JSON with as much on a line as fits, keys in their order.
func layout(t *testing.T, value json.RawMessage, indent string) string {
	t.Helper()
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		t.Fatal(err)
	}
	whole := line.String()
	if len(indent)+len(whole) <= 100 || whole[0] != '{' && whole[0] != '[' {
		return whole
	}
	decoder := json.NewDecoder(&line)
	decoder.Token() // the opening brace or bracket
	var lines []string
	for decoder.More() {
		key := ""
		if whole[0] == '{' {
			name, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			key = `"` + name.(string) + `": `
		}
		var item json.RawMessage
		if err := decoder.Decode(&item); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, indent+" "+key+layout(t, item, indent+" "))
	}
	return whole[:1] + "\n" + strings.Join(lines, ",\n") + "\n" + indent + whole[len(whole)-1:]
}
