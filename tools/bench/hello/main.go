// Hello is the smallest Lambda function in Go, the reference of the figures that
// depend on the machine.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() {
	lambda.Start(func() (string, error) { return "", nil })
}
