// Package setting reads a function's settings from its environment and reports
// everything that is wrong with them at once.
package config

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

// Reader reads settings and collects what is wrong with them. The zero value
// reads the process's environment.
type Reader struct {
	problems []error
}

// Text is a setting that may be empty.
func (r *Reader) Text(name string) string { return os.Getenv(name) }

// Required is a setting that must not be empty.
func (r *Reader) Required(name string) string {
	value := os.Getenv(name)
	if value == "" {
		r.Wrong(fmt.Errorf("%s is not set: deploy the function with the product's template.yaml, or set it", name))
	}
	return value
}

// Int is a whole number between least and most, or otherwise when it is empty.
func (r *Reader) Int(name string, otherwise, least, most int) int {
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		r.Wrong(fmt.Errorf("%s is %.40q: give a whole number from %d to %d", name, value, least, most))
		return otherwise
	}
	return n
}

// Float is a number above 0, or otherwise when it is empty.
func (r *Reader) Float(name string, otherwise float64) float64 {
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f > 0) {
		r.Wrong(fmt.Errorf("%s is %.40q: give a number above 0", name, value))
		return otherwise
	}
	return f
}

// Bool is true or false, or otherwise when it is empty.
func (r *Reader) Bool(name string, otherwise bool) bool {
	switch value := os.Getenv(name); value {
	case "":
		return otherwise
	case "true", "false":
		return value == "true"
	default:
		r.Wrong(fmt.Errorf("%s is %.40q: give true or false", name, value))
		return otherwise
	}
}

// Wrong adds a problem; nil is none.
func (r *Reader) Wrong(err error) {
	if err != nil {
		r.problems = append(r.problems, err)
	}
}

// Err is every problem found, one a line, or nil.
func (r *Reader) Err() error { return errors.Join(r.problems...) }
