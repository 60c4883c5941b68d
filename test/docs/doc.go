// Package docs holds the documentation to the product: the commands fit the
// services' models and run on the fake cloud, and the examples do what the README
// says.
package docs
