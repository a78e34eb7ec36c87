// A service that uses the result of a lookup that found nothing: Go makes SIGSEGV a panic, exit 2.
package main

import (
	"fmt"
	"os"
	"time"
)

type user struct {
	id   int
	name string
}

func find(id int) *user {
	users := map[int]*user{1: {1, "ada"}}
	return users[id]
}

func main() {
	fmt.Println("INFO accounts starting, pid", os.Getpid())
	if _, err := os.ReadFile("/etc/accounts/aliases"); err != nil {
		fmt.Println("INFO no aliases:", err)
	}
	for _, id := range []int{1, 1, 2} {
		time.Sleep(200 * time.Millisecond)
		fmt.Println("INFO user", id, "is", find(id).name)
	}
}
