// Contexts: one handle tells a whole tree of goroutines that the work is no longer wanted.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A worker that can be told to stop has one more case in each of its waits.
func sumUntilCancelled(ctx context.Context, numbers <-chan int) (sum int) {
	for {
		select {
		case n := <-numbers:
			sum += n
		case <-ctx.Done():
			return sum
		}
	}
}

func cancelTheWorkers() {
	ctx, cancel := context.WithCancel(context.Background())
	numbers := make(chan int)
	var total atomic.Int64
	var wg sync.WaitGroup
	for worker := 0; worker < 3; worker++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			total.Add(int64(sumUntilCancelled(ctx, numbers)))
		}()
	}
	for n := 1; n <= 10; n++ {
		numbers <- n
	}
	cancel()
	wg.Wait()
	fmt.Printf("workers stopped after %d: %v\n", total.Load(), ctx.Err())
}

// Without `defer cancel()` the timer and the child would live on in the parent.
func runOutOfTime() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	sumUntilCancelled(ctx, make(chan int))
	fmt.Println("query:", ctx.Err())
}

// Cancelling goes down the tree, never up.
func cancelABranch() {
	root, cancelRoot := context.WithCancel(context.Background())
	defer cancelRoot()
	branch, cancelBranch := context.WithCancel(root)
	leaf, cancelLeaf := context.WithTimeout(branch, time.Hour)
	defer cancelLeaf()
	print := func(when string) {
		fmt.Printf("%s:", when)
		for _, node := range []struct {
			name string
			ctx  context.Context
		}{{"root", root}, {"branch", branch}, {"leaf", leaf}} {
			if node.ctx.Err() == nil {
				fmt.Print(" ", node.name)
			}
		}
		fmt.Println()
	}
	print("alive")
	cancelBranch()
	print("alive after cancel")
}

// A value travels with the request; an unexported key type keeps two packages from clashing.
type key string

const user key = "user"

func greet(ctx context.Context) {
	name, ok := ctx.Value(user).(string)
	if !ok {
		name = "stranger"
	}
	fmt.Println("hello,", name)
}

func carryAValue() {
	greet(context.Background())
	greet(context.WithValue(context.Background(), user, "gopher"))
}

// The mistake: a worker that takes a context and never looks at it.
func ignoreTheContext() {
	ctx, cancel := context.WithCancel(context.Background())
	numbers := make(chan int)
	go func(context.Context) {
		for range numbers {
		}
	}(ctx)
	cancel()
	fmt.Println("goroutines left:", runtime.NumGoroutine()-1)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		ignoreTheContext()
		return
	}
	cancelTheWorkers()
	runOutOfTime()
	cancelABranch()
	carryAValue()
}
