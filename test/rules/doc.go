// Package rules holds the rules in internal/jobs to their reference, rules.py:
// both answer the same questions about random histories.
package rules
