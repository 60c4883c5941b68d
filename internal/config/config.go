// Package config reads a function's settings from its environment and reports
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

// Int is a whole number between least and most, or fallback when the setting is empty.
func (r *Reader) Int(name string, fallback, least, most int) int {
	value := os.Getenv(name)
	if value == "" {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		r.Wrong(fmt.Errorf("%s is %.40q: give a whole number from %d to %d", name, value, least, most))
		return fallback
	}
	return n
}

// Float is a number above 0, or fallback when the setting is empty.
func (r *Reader) Float(name string, fallback float64) float64 {
	value := os.Getenv(name)
	if value == "" {
		return fallback
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f > 0) {
		r.Wrong(fmt.Errorf("%s is %.40q: give a number above 0", name, value))
		return fallback
	}
	return f
}

// Bool is true or false, or fallback when the setting is empty.
func (r *Reader) Bool(name string, fallback bool) bool {
	switch value := os.Getenv(name); value {
	case "":
		return fallback
	case "true", "false":
		return value == "true"
	default:
		r.Wrong(fmt.Errorf("%s is %.40q: give true or false", name, value))
		return fallback
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
