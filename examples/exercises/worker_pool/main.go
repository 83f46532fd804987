// Exercise: five jobs, three workers, each result doubled, and a graceful close.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

type result struct{ job, doubled int }

func worker(jobs <-chan int, results chan<- result) {
	for job := range jobs {
		results <- result{job, job * 2}
	}
}

func main() {
	const jobCount, workerCount = 5, 3
	jobs := make(chan int, jobCount)
	results := make(chan result, jobCount)

	var workers sync.WaitGroup
	for w := 0; w < workerCount; w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			worker(jobs, results)
		}()
	}

	for job := 1; job <= jobCount; job++ {
		jobs <- job
	}
	close(jobs)
	workers.Wait()
	close(results)

	var done []result
	for r := range results {
		done = append(done, r)
	}
	sort.Slice(done, func(i, k int) bool { return done[i].job < done[k].job })
	for _, r := range done {
		fmt.Println("job", r.job, "->", r.doubled)
	}
	for runtime.NumGoroutine() > 1 {
		time.Sleep(time.Millisecond) // a goroutine that has called Done may still be returning
	}
	fmt.Println(len(done), "jobs done, workers left:", runtime.NumGoroutine()-1)
}
