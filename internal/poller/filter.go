package poller

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Filter selects the watched workflows: those that match any include glob and no
// exclude glob. Globs are those of path.Match.
type Filter struct {
	include, exclude []string
}

// String is the filter as two comma-separated lists, as [NewFilter] reads them.
func (f Filter) String() (include, exclude string) {
	return strings.Join(f.include, ","), strings.Join(f.exclude, ",")
}

// NewFilter reads two comma-separated lists of globs. An empty include list
// means all workflows. The error names each setting with a bad glob.
func NewFilter(include, exclude string) (Filter, error) {
	in, wrongIn := globs("WorkflowInclude", include)
	out, wrongOut := globs("WorkflowExclude", exclude)
	if err := errors.Join(wrongIn, wrongOut); err != nil {
		return Filter{}, err
	}
	if len(in) == 0 {
		in = []string{"*"}
	}
	return Filter{include: in, exclude: out}, nil
}

func globs(setting, list string) ([]string, error) {
	var all []string
	for glob := range strings.SplitSeq(list, ",") {
		glob = strings.TrimSpace(glob)
		if glob == "" {
			continue
		}
		if _, err := path.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("%s: %q is not a glob: write * for any text and [ab] for one of these letters", setting, glob)
		}
		all = append(all, glob)
	}
	return all, nil
}

// Has reports whether the workflow is watched.
func (f Filter) Has(workflow string) bool {
	return matches(f.include, workflow) && !matches(f.exclude, workflow)
}

func matches(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return false
}
