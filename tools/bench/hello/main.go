// Hello is the smallest Lambda function in Go: what the figures are held
// against.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() {
	lambda.Start(func() (string, error) { return "", nil })
}
