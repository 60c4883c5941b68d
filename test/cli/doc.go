// Package cli runs the real command line tool against the stand-in cloud, with the
// real template and functions deployed there.
package cli
