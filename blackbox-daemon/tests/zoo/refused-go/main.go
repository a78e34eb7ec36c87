// A service whose queue is not there: dial says "connection refused", and the service exits 1.
//
// Argument: a port of 127.0.0.1 on which nobody listens.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	fmt.Println("INFO consumer starting, pid", os.Getpid())
	if _, err := os.Stat("/etc/consumer/topics.yaml"); err != nil {
		fmt.Println("INFO no topics.yaml, using defaults")
	}
	time.Sleep(600 * time.Millisecond)
	connection, err := net.DialTimeout("tcp", "127.0.0.1:"+os.Args[1], 2*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, "FATAL queue:", err)
		os.Exit(1)
	}
	fmt.Println("INFO connected to", connection.RemoteAddr())
}
