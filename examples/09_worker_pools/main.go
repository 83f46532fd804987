// Worker pools: a few goroutines share many jobs, so that no more than a few are worked on at once.
package main

import (
	"fmt"
	"os"
	"sort"
	"sync"
)

func print(title string, numbers []int) {
	sort.Ints(numbers) // who is done first is nobody's promise
	fmt.Print(title)
	for _, number := range numbers {
		fmt.Print(" ", number)
	}
	fmt.Println()
}

func collect(results <-chan int) (all []int) {
	for result := range results {
		all = append(all, result)
	}
	return all
}

// Jobs are closed by who sends them, results by who knows that every worker is done.
func byHand() {
	jobs, results := make(chan int), make(chan int)
	var workers sync.WaitGroup
	for w := 0; w < 3; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for job := range jobs {
				results <- job * job
			}
		}()
	}
	go func() {
		for job := 1; job <= 9; job++ {
			jobs <- job
		}
		close(jobs)
	}()
	go func() {
		workers.Wait()
		close(results)
	}()
	print("by hand:", collect(results))
}

// Go's standard library has no pool: functions as jobs, each leaving its result in a place of its own.
func byFunctions() {
	pool := make(chan func())
	var workers sync.WaitGroup
	for w := 0; w < 3; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for job := range pool {
				job()
			}
		}()
	}
	results := make([]int, 9)
	for job := 1; job <= 9; job++ {
		job := job
		pool <- func() { results[job-1] = job * job }
	}
	close(pool)
	workers.Wait()
	print("by worker_pool:", results)
}

// The mistake: waiting for the workers before anyone receives what they send.
func waitBeforeReceiving() {
	jobs, results := make(chan int, 9), make(chan int)
	for job := 1; job <= 9; job++ {
		jobs <- job
	}
	close(jobs)
	var workers sync.WaitGroup
	for w := 0; w < 3; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for job := range jobs {
				results <- job * job
			}
		}()
	}
	workers.Wait()
	close(results)
	print("never:", collect(results))
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		waitBeforeReceiving()
	}
	byHand()
	byFunctions()
}
