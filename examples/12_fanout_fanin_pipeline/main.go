// Pipelines: stages joined by channels; several goroutines share a slow stage, and their results merge.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"
)

func print(title string, numbers []int) {
	fmt.Print(title)
	for _, number := range numbers {
		fmt.Print(" ", number)
	}
	fmt.Println()
}

func sorted(numbers []int) []int {
	sort.Ints(numbers)
	return numbers
}

// A stage owns its output: it alone sends there, and it closes what it owns, however it ends.
func count(ctx context.Context, upTo int) <-chan int {
	out := make(chan int)
	go func() {
		defer close(out)
		for i := 1; i <= upTo; i++ {
			select {
			case out <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func transform(ctx context.Context, in <-chan int, f func(int) int) <-chan int {
	out := make(chan int)
	go func() {
		defer close(out)
		for i := range in {
			select {
			case out <- f(i):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func merge(ctx context.Context, ins ...<-chan int) <-chan int {
	out := make(chan int)
	var wg sync.WaitGroup
	for _, in := range ins {
		wg.Add(1)
		go func(in <-chan int) {
			defer wg.Done()
			for i := range in {
				select {
				case out <- i:
				case <-ctx.Done():
					return
				}
			}
		}(in)
	}
	go func() {
		wg.Wait()
		close(out)
	}()
	return out
}

func collect(in <-chan int) (all []int) {
	for i := range in {
		all = append(all, i)
	}
	return all
}

func square(i int) int { return i * i }
func twice(i int) int  { return i * 2 }

// Fan-out: three squarers read one channel. Fan-in: merge closes its output after the last of them.
func byHand() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	numbers := count(ctx, 9)
	merged := merge(ctx, transform(ctx, numbers, square), transform(ctx, numbers, square),
		transform(ctx, numbers, square))
	print("by hand:", sorted(collect(merged)))
}

// To keep the order, each input travels with the place its result belongs to.
func inOrder(up int, workers int, f func(int) int) []int {
	results := make([]int, up)
	places := make(chan int)
	var wg sync.WaitGroup
	for w := 0; w < workers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for place := range places {
				results[place] = f(place + 1)
			}
		}()
	}
	for place := range results {
		places <- place
	}
	close(places)
	wg.Wait()
	return results
}

func unorderedAndOrdered() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	numbers := count(ctx, 9)
	print("unordered:", sorted(collect(merge(ctx, transform(ctx, numbers, twice),
		transform(ctx, numbers, twice), transform(ctx, numbers, twice)))))
	print("ordered:", inOrder(9, 3, twice))
}

// Who has seen enough cancels; every stage is waiting on ctx too, so none is left behind.
func stopEarly() {
	ctx, cancel := context.WithCancel(context.Background())
	first := <-transform(ctx, count(ctx, 1000000), square)
	cancel()
	left := runtime.NumGoroutine() - 1 // main; not a count from before: earlier stages may have been ending then
	for grace := 0; left > 0 && grace < 1000; grace++ {
		time.Sleep(time.Millisecond)
		left = runtime.NumGoroutine() - 1
	}
	fmt.Printf("first: %d, left behind: %d\n", first, left)
}

// The mistake: closing the merged channel when the input is done instead of when the senders are.
func closeTooEarly() {
	in, merged := make(chan int, 3), make(chan int)
	started := make(chan struct{})
	for i := 1; i <= 3; i++ {
		in <- i
	}
	close(in)
	go func() {
		for i := range in {
			started <- struct{}{}
			merged <- i * i
		}
	}()
	<-started
	close(merged)
	<-started
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		closeTooEarly()
	}
	byHand()
	unorderedAndOrdered()
	stopEarly()
}
