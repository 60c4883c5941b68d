// Package reliability holds no code, only the tests that try to break the
// product's guarantees: every crash point with every overlap, and random
// histories. docs/reliability.md says which fault is tried where.
package reliability
