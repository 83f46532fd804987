// Exercise: fetch URLs, at most two at once, all within 500 ms; say which succeeded and leak nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// GET /name/50 is answered after 50 ms.
func newServer(mostAtOnce *atomic.Int32) *httptest.Server {
	var atOnce atomic.Int32
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		busy := atOnce.Add(1)
		for most := mostAtOnce.Load(); most < busy; most = mostAtOnce.Load() {
			mostAtOnce.CompareAndSwap(most, busy)
		}
		delay, _ := strconv.Atoi(path.Base(r.URL.Path))
		select {
		case <-time.After(time.Duration(delay) * time.Millisecond):
			atOnce.Add(-1)
			fmt.Fprintf(w, "this is %s\n", r.URL.Path)
		case <-r.Context().Done():
			atOnce.Add(-1)
		}
	}))
}

func fetch(ctx context.Context, url string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

func describe(ctx context.Context, server, path string) string {
	status, body, err := fetch(ctx, server+path)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("time-out %s: %v", path, ctx.Err())
	}
	if err != nil {
		return fmt.Sprintf("failed   %s: %v", path, err)
	}
	return fmt.Sprintf("ok       %s: %d, %d bytes", path, status, len(body))
}

func main() {
	paths := []string{"/quick/10", "/brisk/20", "/stuck/60000", "/slow/30", "/hung/60000", "/starved/10"}
	before := runtime.NumGoroutine()
	var mostAtOnce atomic.Int32
	server := newServer(&mostAtOnce)

	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	lines := make([]string, len(paths))
	permits := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i, path := range paths {
		permits <- struct{}{} // taken here, so that the paths start in order
		wg.Add(1)
		go func(i int, path string) {
			defer wg.Done()
			defer func() { <-permits }()
			lines[i] = describe(ctx, server.URL, path)
		}(i, path)
	}
	wg.Wait()
	cancel()
	server.Close()
	http.DefaultClient.CloseIdleConnections()
	for _, line := range lines {
		fmt.Println(line)
	}
	fmt.Println("at most two at once:", mostAtOnce.Load() <= 2)
	left := runtime.NumGoroutine() - before
	for grace := 0; left > 0 && grace < 1000; grace++ {
		time.Sleep(time.Millisecond)
		left = runtime.NumGoroutine() - before
	}
	fmt.Println("goroutines left:", left)
}
