// Goroutines and threads: ten thousand goroutines are an ordinary number.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// All of them are alive before the gate opens.
func addWithGoroutines(n int64) int64 {
	gate := make(chan struct{})
	var wg sync.WaitGroup
	var sum atomic.Int64
	for i := int64(1); i <= n; i++ {
		wg.Add(1)
		go func(i int64) {
			defer wg.Done()
			<-gate
			sum.Add(i)
		}(i)
	}
	close(gate)
	wg.Wait()
	return sum.Load()
}

// Go hides its threads: a goroutine that locks one has it for itself.
func addWithThreads(n int64) int64 {
	var wg sync.WaitGroup
	var sum atomic.Int64
	for t := int64(0); t < 4; t++ {
		wg.Add(1)
		go func(t int64) {
			runtime.LockOSThread()
			defer wg.Done()
			for i := t + 1; i <= n; i += 4 {
				sum.Add(i)
			}
		}(t)
	}
	wg.Wait()
	return sum.Load()
}

func threadToGoroutine() string {
	question, answer := make(chan string), make(chan string)
	go func() { answer <- "echo of " + <-question }()
	go func() {
		runtime.LockOSThread()
		question <- "a thread"
	}()
	return <-answer
}

// The mistake: nobody waits. When main returns, the program ends and its goroutines with it.
func forgetToWait() {
	go func() {
		time.Sleep(time.Second)
		fmt.Println("never printed")
	}()
	fmt.Println("main returns and its goroutine dies unheard")
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		forgetToWait()
		return
	}
	fmt.Println("10000 at one gate:", addWithGoroutines(10000))
	fmt.Println("4 threads:", addWithThreads(10000))
	fmt.Println("across both:", threadToGoroutine())
}
