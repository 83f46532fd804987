// Producer and consumer: a bounded buffer between them slows the quick one down to the slow one's pace.
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
)

func main() {
	const producers, consumers, items, capacity = 3, 2, 1000, 4
	buffer := make(chan int, capacity)
	var ahead, furthestAhead atomic.Int32 // produced and not yet consumed

	var producing sync.WaitGroup
	for p := 0; p < producers; p++ {
		producing.Add(1)
		go func(p int) {
			defer producing.Done()
			for i := p + 1; i <= items; i += producers {
				buffer <- i
				now := ahead.Add(1)
				for most := furthestAhead.Load(); most < now; most = furthestAhead.Load() {
					if furthestAhead.CompareAndSwap(most, now) {
						break
					}
				}
			}
		}(p)
	}

	var count, sum atomic.Int32
	var consuming sync.WaitGroup
	for c := 0; c < consumers; c++ {
		consuming.Add(1)
		go func() {
			defer consuming.Done()
			for i := range buffer {
				ahead.Add(-1)
				count.Add(1)
				sum.Add(int32(i))
			}
		}()
	}

	producing.Wait() // several producers: none of them may close, only who has waited for all
	close(buffer)
	consuming.Wait()
	fmt.Printf("consumed %d, sum %d\n", count.Load(), sum.Load())
	fmt.Println("never further ahead than the buffer and the hands:",
		furthestAhead.Load() <= capacity+producers+consumers)
}
