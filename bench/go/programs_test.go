package bench

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// skynet: a tree of goroutines, ten children each; the leaves send their numbers up, the nodes their sums.
func skynet(up chan<- int64, num, size int64) {
	if size == 1 {
		up <- num
		return
	}
	children := make(chan int64)
	var sum int64
	for i := int64(0); i < 10; i++ {
		go skynet(children, num+i*(size/10), size/10)
	}
	for i := 0; i < 10; i++ {
		sum += <-children
	}
	up <- sum
}

// BenchmarkSkynet1M: a million leaves; the time is that of one goroutine.
func BenchmarkSkynet1M(b *testing.B) {
	size := int64(scaled(1000000))
	goroutines := 0
	for s := size; s >= 1; s /= 10 {
		goroutines += int(s)
	}
	for i := 0; i < b.N; i++ {
		up := make(chan int64)
		go skynet(up, 0, size)
		if <-up != size*(size-1)/2 {
			b.Fatal("wrong sum")
		}
	}
	perUnit(b, goroutines)
}

// BenchmarkThreadRing503: a token goes round a ring of 503 goroutines; one operation is one hop.
func BenchmarkThreadRing503(b *testing.B) {
	const n = 503
	var ring [n]chan int
	for i := range ring {
		ring[i] = make(chan int)
	}
	done := make(chan bool)
	for i := range ring {
		go func(in <-chan int, out chan<- int) {
			for token := range in {
				if token == 0 {
					done <- true
					continue
				}
				out <- token - 1
			}
		}(ring[i], ring[(i+1)%n])
	}
	b.ResetTimer()
	ring[0] <- b.N
	<-done
	b.StopTimer()
	for _, ch := range ring {
		close(ch)
	}
}

// BenchmarkPingPong: two goroutines, two unbuffered channels; one operation is one message.
func BenchmarkPingPong(b *testing.B) {
	ping, pong := make(chan int), make(chan int)
	rounds := b.N/2 + 1
	go func() {
		for v := range ping {
			pong <- v + 1
		}
		close(pong)
	}()
	v := 0
	for i := 0; i < rounds; i++ {
		ping <- v
		v = <-pong
	}
	close(ping)
	<-pong
	if v != rounds {
		b.Fatal("a message is lost")
	}
}

func sieveFilter(in <-chan int, out chan<- int, prime int) {
	for {
		if v := <-in; v%prime != 0 {
			out <- v
			if v == sieveEnd {
				return
			}
		}
	}
}

// sieveEnd divides by no prime of the sieve and ends every stage that it passes.
const sieveEnd = 1<<31 - 1

// BenchmarkPrimeSieve: the first 1000 primes by a chain of filters; the time is that of the whole sieve.
func BenchmarkPrimeSieve(b *testing.B) {
	primes := scaled(1000)
	for i := 0; i < b.N; i++ {
		source := make(chan int)
		var stop atomic.Bool
		go func() {
			for v := 2; !stop.Load(); v++ {
				source <- v
			}
			source <- sieveEnd
		}()
		in, prime := source, 0
		for p := 0; p < primes; p++ {
			prime = <-in
			out := make(chan int)
			go sieveFilter(in, out, prime)
			in = out
		}
		stop.Store(true)
		for <-in != sieveEnd {
		}
		if primes == 1000 && prime != 7919 {
			b.Fatal("wrong prime")
		}
	}
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	other := make(chan int, 1)
	go func() { other <- fib(n - 1) }()
	return fib(n-2) + <-other
}

// BenchmarkSpawnTree: Fibonacci numbers, a goroutine for every first branch; the time is that of one goroutine.
func BenchmarkSpawnTree(b *testing.B) {
	n, goroutines, want := 27, 317810, 196418
	if scaled(1000000) != 1000000 {
		n, goroutines, want = 22, 28656, 17711
	}
	for i := 0; i < b.N; i++ {
		if fib(n) != want {
			b.Fatal("wrong number")
		}
	}
	perUnit(b, goroutines)
}

// BenchmarkParked1M: a million goroutines park on one channel, which is then closed. Per goroutine: the time from
// the first spawn until all are there, the time from close until all have ended, and the resident bytes between.
func BenchmarkParked1M(b *testing.B) {
	n := scaled(1000000)
	var spawn, wake, bytes float64
	for i := 0; i < b.N; i++ {
		debug.FreeOSMemory()
		before := residentBytes()
		gate := make(chan struct{})
		var here, gone sync.WaitGroup
		here.Add(n)
		gone.Add(n)
		start := time.Now()
		for i := 0; i < n; i++ {
			go func() {
				here.Done()
				<-gate
				gone.Done()
			}()
		}
		here.Wait()
		spawn += since(start)
		bytes += float64(residentBytes() - before)
		start = time.Now()
		close(gate)
		gone.Wait()
		wake += since(start)
	}
	per := float64(b.N) * float64(n)
	b.ReportMetric(spawn/per, "spawn-ns")
	b.ReportMetric(wake/per, "wake-ns")
	b.ReportMetric(bytes/per, "bytes")
	b.ReportMetric((spawn+wake)/per, "ns/op")
}

// BenchmarkSleepers1M: a million goroutines sleep until the same moment, five seconds after the start. Per
// goroutine: the time to start them all, and the time from that moment until all have ended.
func BenchmarkSleepers1M(b *testing.B) {
	n := scaled(1000000)
	limit := time.Duration(scaled(5000)) * time.Millisecond
	var spawn, wake, bytes float64
	for i := 0; i < b.N; i++ {
		debug.FreeOSMemory()
		before := residentBytes()
		var here, gone sync.WaitGroup
		here.Add(n)
		gone.Add(n)
		start := time.Now()
		moment := start.Add(limit)
		for i := 0; i < n; i++ {
			go func() {
				here.Done()
				time.Sleep(time.Until(moment))
				gone.Done()
			}()
		}
		here.Wait()
		spawn += since(start)
		bytes += float64(residentBytes() - before)
		gone.Wait()
		wake += since(moment)
	}
	per := float64(b.N) * float64(n)
	b.ReportMetric(spawn/per, "spawn-ns")
	b.ReportMetric(wake/per, "wake-ns")
	b.ReportMetric(bytes/per, "bytes")
	b.ReportMetric((spawn+wake)/per, "ns/op")
}

// BenchmarkWorkerPool: eight workers take numbers from one channel and return their doubles on another.
func BenchmarkWorkerPool(b *testing.B) {
	const workers, capacity = 8, 64
	jobs, results := make(chan int, capacity), make(chan int, capacity)
	var wg sync.WaitGroup
	wg.Add(workers)
	for i := 0; i < workers; i++ {
		go func() {
			defer wg.Done()
			for v := range jobs {
				results <- 2 * v
			}
		}()
	}
	go func() {
		for i := 0; i < b.N; i++ {
			jobs <- i
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	count := 0
	for range results {
		count++
	}
	if count != b.N {
		b.Fatal("a job is lost")
	}
}

// BenchmarkPipeline3: source, square and sum, with channels of sixteen between.
func BenchmarkPipeline3(b *testing.B) {
	numbers, squares := make(chan int, 16), make(chan int, 16)
	go func() {
		for i := 0; i < b.N; i++ {
			numbers <- i
		}
		close(numbers)
	}()
	go func() {
		for v := range numbers {
			squares <- v * v
		}
		close(squares)
	}()
	sum := 0
	for v := range squares {
		sum += v
	}
	shared += sum & 1
}

// BenchmarkFanInSelect: four producers, each with its own unbuffered channel; one consumer selects over the four.
func BenchmarkFanInSelect(b *testing.B) {
	var in [4]chan int
	each := b.N/4 + 1
	for i := range in {
		in[i] = make(chan int)
		go func(out chan<- int) {
			for v := 0; v < each; v++ {
				out <- v
			}
		}(in[i])
	}
	sum := 0
	for i := 0; i < 4*each; i++ {
		select {
		case v := <-in[0]:
			sum += v
		case v := <-in[1]:
			sum += v
		case v := <-in[2]:
			sum += v
		case v := <-in[3]:
			sum += v
		}
	}
	shared += sum & 1
}

// xorshift is the same small generator in every language here, so that none pays for a better one.
type xorshift uint64

func (x *xorshift) next() uint64 {
	v := uint64(*x)
	v ^= v << 13
	v ^= v >> 7
	v ^= v << 17
	*x = xorshift(v)
	return v
}

// BenchmarkTimerChurn10M: a hundred thousand timers are alive, due in 5 to 15 s; ten million times one of them is
// stopped and replaced. The time is that of one replacement.
func BenchmarkTimerChurn10M(b *testing.B) {
	alive, churn := scaled(100000), scaled(10000000)
	for i := 0; i < b.N; i++ {
		var wg sync.WaitGroup
		for p := 0; p < procs(); p++ {
			wg.Add(1)
			go func(p int) {
				defer wg.Done()
				rnd := xorshift(p + 1)
				due := func() time.Duration { return 5*time.Second + time.Duration(rnd.next()%uint64(10*time.Second)) }
				timers := make([]*time.Timer, alive/procs())
				for k := range timers {
					timers[k] = time.AfterFunc(due(), func() {})
				}
				for i := 0; i < churn/procs(); i++ {
					k := rnd.next() % uint64(len(timers))
					timers[k].Stop()
					timers[k] = time.AfterFunc(due(), func() {})
				}
				for _, t := range timers {
					t.Stop()
				}
			}(p)
		}
		wg.Wait()
	}
	perUnit(b, churn)
}

func sleepOutside(d time.Duration) {
	left := syscall.NsecToTimespec(int64(d))
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}

// BenchmarkIdle100k: how often any thread of an idle process with a hundred thousand parked goroutines wakes in a
// second. Who looks sleeps in a system call, since waking up in the scheduler is what rouses the monitor; the one switch
// of that sleep is not counted.
func BenchmarkIdle100k(b *testing.B) {
	n := scaled(100000)
	gate := make(chan struct{})
	var here, gone sync.WaitGroup
	here.Add(n)
	gone.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			here.Done()
			<-gate
			gone.Done()
		}()
	}
	here.Wait()
	sleepOutside(500 * time.Millisecond)
	before, start := threadSwitches(), time.Now()
	sleepOutside(time.Second)
	switches := float64(threadSwitches() - before - 1)
	if switches < 0 {
		switches = 0
	}
	b.ReportMetric(switches*1e9/since(start), "wakeups-per-s")
	close(gate)
	gone.Wait()
}
