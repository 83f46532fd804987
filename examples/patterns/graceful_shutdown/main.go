// Graceful shutdown: SIGINT or SIGTERM ends the intake; what has been taken is finished before the exit.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Takes requests until the context ends. Unless someone is there to press Ctrl-C, the program sends
// the signal to itself, as soon as three requests are in.
func takeRequests(ctx context.Context, requests chan<- int, someone bool) int32 {
	var taken int32
	for ctx.Err() == nil {
		select {
		case requests <- int(taken) + 1:
			taken++
		case <-ctx.Done():
		}
		if !someone && taken == 3 {
			syscall.Kill(os.Getpid(), syscall.SIGTERM)
			<-ctx.Done()
		}
		if someone {
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return taken
}

func main() {
	someone := len(os.Args) > 1 && os.Args[1] == "--wait"
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)

	requests := make(chan int, 8)
	var finished atomic.Int32
	var workers sync.WaitGroup
	for w := 0; w < 2; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for range requests {
				time.Sleep(50 * time.Millisecond) // the work; it is not cut short by the signal
				finished.Add(1)
			}
		}()
	}

	taken := takeRequests(ctx, requests, someone)
	fmt.Println("signal: no more requests")
	stop() // from here on a signal ends the process, as it does by default
	close(requests)

	drained := make(chan struct{})
	go func() {
		workers.Wait()
		close(drained)
	}()
	inTime := true
	select {
	case <-drained:
	case <-time.After(10 * time.Second):
		inTime = false
	}
	fmt.Println("finished what was taken:", finished.Load() == taken)
	if !inTime {
		os.Exit(1)
	}
}
