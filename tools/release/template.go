package main

import (
	"fmt"
	"regexp"
	"strings"
)

// packageTemplate returns the template of a release: each function's code is the
// zip beside it, which `aws cloudformation package` and `sam deploy` upload as it
// is, and nothing is left to build.
func packageTemplate(source, version string) (string, error) {
	packaged := source
	replace := func(old, new string) error {
		if n := strings.Count(packaged, old); n != 1 {
			return fmt.Errorf("packaging the template: it has %q %d times, not once", old, n)
		}
		packaged = strings.Replace(packaged, old, new, 1)
		return nil
	}
	for _, f := range functions {
		head := "  " + f.id + ":\n    Type: AWS::Serverless::Function\n"
		if err := replace(head+"    Metadata:\n      BuildMethod: makefile\n    Properties:\n",
			head+"    Properties:\n      CodeUri: "+f.name+".zip\n"); err != nil {
			return "", err
		}
	}
	if err := replace("    CodeUri: .\n", ""); err != nil {
		return "", err
	}
	if err := replace("    SemanticVersion: 0.0.0\n", "    SemanticVersion: "+semantic(version)+"\n"); err != nil {
		return "", err
	}
	return packaged, nil
}

var release = regexp.MustCompile(`^v?(\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?)$`)

// semantic makes a semantic version, which the AWS Serverless Application
// Repository requires, of what `git describe` returns: v1.2.3-4-gabc after a tag,
// a bare commit without one.
func semantic(version string) string {
	if parts := release.FindStringSubmatch(version); parts != nil {
		return parts[1]
	}
	return "0.0.0-g" + regexp.MustCompile(`[^0-9A-Za-z.-]`).ReplaceAllString(version, "-")
}
