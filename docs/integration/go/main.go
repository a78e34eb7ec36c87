// Tells the BlackBox daemon of this node what a Go process measures of itself, and reports its panics.
//
//	In an application:  sidecar := New(); go sidecar.Run(ctx)
//	                    defer sidecar.ReportPanic()       (first in main, and in each goroutine: Go has no hook for all)
//	To try it out:      go run . [--once]
//
// Needs Go 1.19. Reads BLACKBOX_URL (or NODE_IP), BLACKBOX_API_KEY or BLACKBOX_TOKEN_FILE, POD_NAME, POD_NAMESPACE,
// BLACKBOX_INTERVAL. Nothing in here panics into the application.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	mostQueued  = 60               // objects kept while the daemon cannot take them; then the oldest go
	timeout     = 3 * time.Second  // for one request
	patience    = 15 * time.Second // that a dying process gives its report
	longestWait = 5 * time.Minute  // whatever Retry-After says
	mostMessage = 16_000           // bytes; the daemon's bound is 16 KiB
	mostStack   = 10_000           // bytes: at most 60 KB even if JSON has to escape each of them; the bound is 64 KiB
)

type object = map[string]any

// Sidecar measures this process and speaks to the daemon. Its methods may be called by any goroutine.
type Sidecar struct {
	url      string
	interval time.Duration
	identity object
	client   *http.Client
	started  time.Time

	mutex     sync.Mutex // guards all that follows
	queue     []object
	notBefore time.Time
	dropped   int
	errors    int
}

// New reads the environment.
func New() *Sidecar {
	seconds, err := strconv.Atoi(os.Getenv("BLACKBOX_INTERVAL"))
	if err != nil || seconds < 1 {
		seconds = 10
	}
	return &Sidecar{
		url:      env("BLACKBOX_URL", "http://"+env("NODE_IP", "127.0.0.1")+":8080"),
		interval: time.Duration(seconds) * time.Second,
		identity: object{
			"pod_name":     os.Getenv("POD_NAME"),
			"namespace":    os.Getenv("POD_NAMESPACE"),
			"container_id": containerID(),
		},
		// A transport of its own has no proxy: the daemon is on this node.
		client:  &http.Client{Timeout: timeout, Transport: &http.Transport{}},
		started: time.Now(),
	}
}

// Run measures each interval until the context is done, and sends what is left.
func (s *Sidecar) Run(ctx context.Context) {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		s.keep(s.sample())
		s.Flush()
		select {
		case <-ctx.Done():
			s.Flush()
			return
		case <-ticker.C:
		}
	}
}

// ReportPanic is to be deferred. It reports a panic, and then lets it go on.
func (s *Sidecar) ReportPanic() {
	cause := recover()
	if cause == nil {
		return
	}
	stack := debug.Stack()
	s.keep(s.sample())
	s.Flush()
	s.report(cause, stack)
	panic(cause)
}

// The daemon takes an entry's type from words in its key: memory, heap, gc, cpu, thread, socket, runtime, error.
func (s *Sidecar) measure() object {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	data := object{
		"heap_used_bytes":         memory.HeapAlloc,
		"heap_objects":            memory.HeapObjects,
		"heap_next_gc_bytes":      memory.NextGC,
		"memory_from_os_bytes":    memory.Sys,
		"gc_cycles_total":         memory.NumGC,
		"gc_pause_seconds_total":  time.Duration(memory.PauseTotalNs).Seconds(),
		"runtime_goroutines":      runtime.NumGoroutine(),
		"runtime_version":         runtime.Version(),
		"runtime_uptime_seconds":  int(time.Since(s.started).Seconds()),
		"telemetry_errors_total":  s.errors,
		"telemetry_dropped_total": s.dropped,
	}
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		data["cpu_seconds_total"] = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	}
	if threads, err := os.ReadDir("/proc/self/task"); err == nil {
		data["threads"] = len(threads)
	}
	if files, err := filepath.Glob("/proc/self/fd/*"); err == nil {
		data["sockets_open"] = countSockets(files)
	}
	return data
}

func (s *Sidecar) sample() object {
	return s.about(object{"runtime": "go", "timestamp": time.Now().UTC(), "data": s.measure()})
}

// about adds which pod it is about.
func (s *Sidecar) about(body object) object {
	for key, value := range s.identity {
		body[key] = value
	}
	return body
}

func (s *Sidecar) keep(sample object) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.queue = append(s.queue, sample)
	if tooMany := len(s.queue) - mostQueued; tooMany > 0 {
		s.queue = s.queue[tooMany:]
		s.dropped += tooMany
	}
}

// Flush sends all that is queued as one batch. What the daemon does not take now stays for the next time.
func (s *Sidecar) Flush() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.queue) == 0 || time.Now().Before(s.notBefore) {
		return
	}
	status, wait := s.post("/api/v1/telemetry", object{"entries": s.queue})
	if wait != nil {
		s.notBefore = time.Now().Add(*wait)
	}
	if isAccepted(status) {
		s.queue = nil
		return
	}
	s.errors++
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		s.dropped += len(s.queue) // it would be refused again
		s.queue = nil
	}
}

func (s *Sidecar) report(cause any, stack []byte) bool {
	return s.deliver("/api/v1/incident", s.about(object{
		"id":        "go-" + randomID(), // so that a second attempt is not a second incident
		"timestamp": time.Now().UTC(),
		"severity":  "critical",
		"type":      "crash", // Go ends at once when it is out of memory: only the kernel's record tells
		"message":   cut("panic: "+fmt.Sprint(cause), mostMessage),
		"context":   object{"exception": fmt.Sprintf("%T", cause), "stack": cut(string(stack), mostStack)},
	}))
}

// deliver tries until it is accepted, or trying again is of no use. For the last words of a process.
func (s *Sidecar) deliver(path string, body object) bool {
	deadline := time.Now().Add(patience)
	for {
		status, wait := s.post(path, body)
		if isAccepted(status) {
			return true
		}
		pause := time.Second
		if wait != nil {
			pause = *wait
		}
		forNow := status == 0 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
		if !forNow || time.Now().Add(pause).After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
}

// post returns the status, 0 for no answer at all, and what Retry-After asks for, if it does.
func (s *Sidecar) post(path string, body object) (int, *time.Duration) {
	response, err := s.send(path, body)
	if err != nil {
		log.Printf("sidecar: %s: %v", path, err)
		return 0, nil
	}
	defer response.Body.Close()
	if !isAccepted(response.StatusCode) {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		log.Printf("sidecar: %s: %s %s", path, response.Status, text)
	}
	io.Copy(io.Discard, response.Body) // or the connection is not used again
	seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31)
	if err != nil {
		return response.StatusCode, nil
	}
	wait := time.Duration(seconds) * time.Second
	if wait > longestWait {
		wait = longestWait
	}
	return response.StatusCode, &wait
}

func (s *Sidecar) send(path string, body object) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	credential, err := credential()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, s.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+credential)
	request.Header.Set("Content-Type", "application/json")
	return s.client.Do(request)
}

// credential reads a token each time: the kubelet writes a new one before the old one expires.
func credential() (string, error) {
	if key := os.Getenv("BLACKBOX_API_KEY"); key != "" {
		return strings.TrimSpace(key), nil
	}
	path := os.Getenv("BLACKBOX_TOKEN_FILE")
	if path == "" {
		return "", errors.New("neither BLACKBOX_API_KEY nor BLACKBOX_TOKEN_FILE is set")
	}
	token, err := os.ReadFile(path)
	return strings.TrimSpace(string(token)), err
}

// containerID is this container's id, if its cgroup tells. With a cgroup namespace of its own it does not.
func containerID() string {
	cgroup, _ := os.ReadFile("/proc/self/cgroup")
	ids := regexp.MustCompile("[0-9a-f]{64}").FindAllString(string(cgroup), -1)
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

func countSockets(files []string) int {
	count := 0
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, "socket:") {
			count++
		}
	}
	return count
}

func isAccepted(status int) bool { return status >= 200 && status < 300 }

func cut(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "�")
}

func env(key, otherwise string) string {
	if value := os.Getenv(key); value != "" {
		return value
	}
	return otherwise
}

func randomID() string {
	var id [16]byte
	rand.Read(id[:])
	return fmt.Sprintf("%x", id)
}

func main() {
	sidecar := New()
	defer sidecar.ReportPanic()
	if len(os.Args) > 1 && os.Args[1] == "--once" {
		isSent := sidecar.deliver("/api/v1/telemetry", sidecar.sample())
		isReported := sidecar.report("a trial of the sidecar: nothing crashed", debug.Stack())
		if !isSent || !isReported {
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	sidecar.Run(ctx)
}
