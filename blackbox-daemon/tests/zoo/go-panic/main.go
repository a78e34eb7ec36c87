// A service that writes to a map it never made: a Go panic, exit 2.
package main

import (
	"fmt"
	"os"
	"time"
)

var counts map[string]int

func count(path string) {
	counts[path]++
}

func main() {
	fmt.Println("INFO counter starting, pid", os.Getpid())
	if _, err := os.Stat("/etc/counter/seed.json"); err != nil {
		fmt.Println("INFO no seed.json:", err)
	}
	for round := 1; round <= 3; round++ {
		time.Sleep(200 * time.Millisecond)
		fmt.Println("INFO health check", round, "ok")
	}
	count("/index.html")
	fmt.Println("INFO counted", len(counts))
}
