// Package template tests what template.yaml promises: its resources, permissions,
// parameters and alarms, in each AWS partition.
package template
