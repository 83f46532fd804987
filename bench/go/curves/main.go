// Command curves is the Go twin of bench/curves/curves.cpp: the time of one operation at one size, in nanoseconds.
package main

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type sample struct {
	elapsed time.Duration
	done    int
}

type xorshift uint64

func (x *xorshift) next() uint64 {
	v := uint64(*x)
	v ^= v << 13
	v ^= v >> 7
	v ^= v << 17
	*x = xorshift(v)
	return v
}

func yield(size, n int) sample {
	each := n / size
	if each < 8 {
		each = 8
	}
	var open atomic.Bool
	gate := make(chan struct{})
	var here, gone sync.WaitGroup
	here.Add(size)
	gone.Add(size)
	for g := 0; g < size; g++ {
		go func() {
			<-gate
			here.Done()
			for !open.Load() {
				runtime.Gosched()
			}
			for i := 0; i < each; i++ {
				runtime.Gosched()
			}
			gone.Done()
		}()
	}
	close(gate)
	here.Wait()
	start := time.Now()
	open.Store(true)
	gone.Wait()
	return sample{time.Since(start), each * size}
}

func ring(size, n int) sample {
	if n < 2*size {
		n = 2 * size
	}
	links := make([]chan int, size)
	for i := range links {
		links[i] = make(chan int)
	}
	var gone sync.WaitGroup
	gone.Add(size)
	end := make(chan struct{})
	for i := range links {
		go func(in <-chan int, out chan<- int) {
			for token := range in {
				if token == 0 {
					end <- struct{}{}
				} else {
					out <- token - 1
				}
			}
			gone.Done()
		}(links[i], links[(i+1)%size])
	}
	links[0] <- size
	<-end
	start := time.Now()
	links[0] <- n
	<-end
	elapsed := time.Since(start)
	for _, link := range links {
		close(link)
	}
	gone.Wait()
	return sample{elapsed, n}
}

func park(size, n int) sample {
	start := time.Now()
	rounds := n/size + 1
	for i := 0; i < rounds; i++ {
		gate := make(chan struct{})
		var here, gone sync.WaitGroup
		here.Add(size)
		gone.Add(size)
		for g := 0; g < size; g++ {
			go func() {
				here.Done()
				<-gate
				gone.Done()
			}()
		}
		here.Wait()
		close(gate)
		gone.Wait()
	}
	return sample{time.Since(start), rounds * size}
}

func capacity(size, n int) sample {
	ch := make(chan int, size)
	start := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			ch <- i
		}
		close(ch)
	}()
	for range ch {
	}
	return sample{time.Since(start), n}
}

func contend(size, n int, operation func(i int)) sample {
	each := n/size + 1
	var gone sync.WaitGroup
	start := time.Now()
	gone.Add(size)
	for g := 0; g < size; g++ {
		go func() {
			for i := 0; i < each; i++ {
				operation(i)
			}
			gone.Done()
		}()
	}
	gone.Wait()
	return sample{time.Since(start), each * size}
}

func mutex(size, n int) sample {
	var mu sync.Mutex
	value := 0
	return contend(size, n, func(int) {
		mu.Lock()
		value++
		mu.Unlock()
	})
}

func rwmutex(size, n int) sample {
	var mu sync.RWMutex
	value := 0
	return contend(size, n, func(i int) {
		if i%10 == 9 {
			mu.Lock()
			value++
			mu.Unlock()
		} else {
			mu.RLock()
			_ = value
			mu.RUnlock()
		}
	})
}

func channel(size, n int) sample {
	ch := make(chan int, size)
	return contend(size, n, func(i int) {
		ch <- i
		<-ch
	})
}

func sections(goroutines int) func(work, n int) sample {
	return func(work, n int) sample {
		var mu sync.Mutex
		return contend(goroutines, n, func(int) {
			mu.Lock()
			mu.Unlock()
			compute(work)
		})
	}
}

func due(random *xorshift) time.Duration {
	return time.Hour + time.Duration(random.next()%uint64(time.Hour))
}

func withTimers(size, n int, operation func(timers []*time.Timer, k int, due time.Duration)) sample {
	random := xorshift(1)
	timers := make([]*time.Timer, size)
	for i := range timers {
		timers[i] = time.AfterFunc(due(&random), func() {})
	}
	start := time.Now()
	for i := 0; i < n; i++ {
		k := int(random.next() % uint64(size))
		operation(timers, k, due(&random))
	}
	elapsed := time.Since(start)
	for _, t := range timers {
		t.Stop()
	}
	return sample{elapsed, n}
}

func reset(size, n int) sample {
	return withTimers(size, n, func(timers []*time.Timer, k int, due time.Duration) { timers[k].Reset(due) })
}

func churn(size, n int) sample {
	return withTimers(size, n, func(timers []*time.Timer, k int, due time.Duration) {
		timers[k].Stop()
		timers[k] = time.AfterFunc(due, func() {})
	})
}

func casesOf(channels []chan int) []reflect.SelectCase {
	cases := make([]reflect.SelectCase, len(channels))
	for i, ch := range channels {
		cases[i] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ch)}
	}
	return cases
}

func ready(size, n int) sample {
	channels := make([]chan int, size)
	for i := range channels {
		channels[i] = make(chan int, 1)
	}
	cases := casesOf(channels)
	random := xorshift(1)
	start := time.Now()
	for i := 0; i < n; i++ {
		channels[random.next()%uint64(size)] <- i
		reflect.Select(cases)
	}
	return sample{time.Since(start), n}
}

func blocked(size, n int) sample {
	channels := make([]chan int, size)
	for i := range channels {
		channels[i] = make(chan int)
	}
	cases := casesOf(channels)
	start := time.Now()
	go func() {
		random := xorshift(1)
		for i := 0; i < n; i++ {
			channels[random.next()%uint64(size)] <- i
		}
	}()
	for i := 0; i < n; i++ {
		reflect.Select(cases)
	}
	return sample{time.Since(start), n}
}

// The programs of the model in bench/sim; their size is the work in nanoseconds.

var roundsPerNs float64

//go:noinline
func rounds(n int) {
	for i := 0; i < n; i++ {
	}
}

func compute(ns int) { rounds(int(float64(ns) * roundsPerNs)) }

func calibrate() {
	roundsPerNs = 1
	best := time.Second
	for i := 0; i < 20; i++ {
		start := time.Now()
		compute(1000000)
		if took := time.Since(start); took < best {
			best = took
		}
	}
	roundsPerNs = 1e6 / float64(best.Nanoseconds())
}

func burst(work, _ int) sample {
	const count = 100000
	start := time.Now()
	var gone sync.WaitGroup
	gone.Add(count)
	for g := 0; g < count; g++ {
		go func() {
			compute(work)
			gone.Done()
		}()
	}
	gone.Wait()
	return sample{time.Since(start), count}
}

func grow(level, work int) {
	if level == 0 {
		compute(work)
		return
	}
	var children sync.WaitGroup
	children.Add(10)
	for i := 0; i < 10; i++ {
		go func() {
			grow(level-1, work)
			children.Done()
		}()
	}
	children.Wait()
}

func tree(work, _ int) sample {
	start := time.Now()
	grow(5, work)
	return sample{time.Since(start), 111111}
}

func pairsOf(count, messages, work int) sample {
	start := time.Now()
	var gone sync.WaitGroup
	gone.Add(2 * count)
	for p := 0; p < count; p++ {
		to, fro := make(chan int), make(chan int)
		go func() {
			for i := 0; i < messages; i++ {
				compute(work)
				to <- i
				<-fro
			}
			gone.Done()
		}()
		go func() {
			for i := 0; i < messages; i++ {
				<-to
				compute(work)
				fro <- i
			}
			gone.Done()
		}()
	}
	gone.Wait()
	return sample{time.Since(start), 2 * count * messages}
}

func pairs(work, _ int) sample { return pairsOf(4, 20000, work) }
func calls(work, _ int) sample { return pairsOf(4*runtime.GOMAXPROCS(0), 2000, work) }

func main() {
	kinds := map[string]func(size, n int) sample{
		"yield": yield, "ring": ring, "park": park, "capacity": capacity, "mutex": mutex, "rwmutex": rwmutex,
		"channel": channel, "reset": reset, "churn": churn, "ready": ready, "blocked": blocked,
		"burst": burst, "tree": tree, "pairs": pairs, "calls": calls,
		"section2": sections(2), "section20": sections(20),
	}
	size, wanted := -1, 0.1
	if len(os.Args) > 2 {
		size, _ = strconv.Atoi(os.Args[2])
	}
	if len(os.Args) > 3 {
		wanted, _ = strconv.ParseFloat(os.Args[3], 64)
	}
	if len(os.Args) < 3 || kinds[os.Args[1]] == nil || size < 0 {
		fmt.Fprintln(os.Stderr, "curves: KIND SIZE [SECONDS]")
		os.Exit(2)
	}
	calibrate()
	// As in curves.cpp the first operations do not count.
	for n, before := 100, 0; ; {
		s := kinds[os.Args[1]](size, n)
		took := s.elapsed.Seconds()
		if before != 0 && (took >= wanted || n >= 1000000000 || s.done == before) {
			fmt.Printf("%.3f\n", took*1e9/float64(s.done))
			return
		}
		before = s.done
		next := wanted / (took + 1e-9) * float64(s.done) * 1.2
		next = math.Min(math.Min(next, 1e9), 100*math.Max(float64(n), float64(s.done)))
		n = int(next) + n/10 + 1
	}
}
