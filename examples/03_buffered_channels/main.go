// Buffered channels: a send waits only while the buffer is full; what was sent before close still arrives.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

func fillAndDrain() {
	box := make(chan int, 3)
	for i := 1; i <= 3; i++ {
		box <- i
	}
	fmt.Println("buffered:", len(box), "of", cap(box))

	full := false
	select {
	case box <- 4:
	default:
		full = true
	}
	fmt.Println("a fourth would block:", full)

	close(box)
	for i := range box {
		fmt.Println("drained:", i)
	}
}

// A buffer of two is a semaphore: a value in it is a permit taken.
func twoAtATime() {
	permits := make(chan struct{}, 2)
	var wg sync.WaitGroup
	var working, worked atomic.Int32
	var crowded atomic.Bool
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			permits <- struct{}{}
			defer func() { <-permits }()
			if working.Add(1) > 2 {
				crowded.Store(true)
			}
			runtime.Gosched()
			worked.Add(1)
			working.Add(-1)
		}()
	}
	wg.Wait()
	fmt.Printf("%d worked, more than two at once: %t\n", worked.Load(), crowded.Load())
}

// The mistake: the producer forgets to close, so the loop over the channel never ends.
func forgetToClose() {
	box := make(chan int, 3)
	go func() {
		for i := 1; i <= 3; i++ {
			box <- i
		}
	}()
	sum := 0
	for i := range box {
		sum += i
	}
	fmt.Println(sum)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		forgetToClose()
	}
	fillAndDrain()
	twoAtATime()
}
