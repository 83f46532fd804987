// Wait groups: start many, wait for all of them.
package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// Since Go 1.25 wg.Go(f) counts by itself, as runnel's does.
func eachIntoItsOwnPlace() {
	squares := make([]int, 6)
	var wg sync.WaitGroup
	for i := range squares {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			squares[i] = i * i
		}(i)
	}
	wg.Wait() // everything they wrote is visible now: no mutex is needed
	fmt.Print("squares:")
	for _, square := range squares {
		fmt.Print(" ", square)
	}
	fmt.Println()
}

// By hand: Add before `go`, never inside it, and Done by defer, whichever way the function ends.
func countByHand() {
	var even atomic.Int32
	var wg sync.WaitGroup
	for i := 1; i <= 100; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			if i%2 != 0 {
				return
			}
			even.Add(1)
		}(i)
	}
	wg.Wait()
	fmt.Println("even numbers:", even.Load())
}

// Any number may wait, and when all have been woken the group can be used again.
func severalWait() {
	var started, ready sync.WaitGroup
	var waited atomic.Int32
	started.Add(1)
	for i := 0; i < 3; i++ {
		ready.Add(1)
		go func() {
			defer ready.Done()
			started.Wait()
			waited.Add(1)
		}()
	}
	started.Done()
	ready.Wait()
	fmt.Println("waited:", waited.Load())
}

// The mistake: an early return skips Done, and Wait never comes back.
func skipDone() {
	var wg sync.WaitGroup
	for i := 1; i <= 3; i++ {
		wg.Add(1)
		go func(i int) {
			if i == 2 {
				return
			}
			wg.Done()
		}(i)
	}
	wg.Wait()
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		skipDone()
	}
	eachIntoItsOwnPlace()
	countByHand()
	severalWait()
}
