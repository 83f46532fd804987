package bench

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// createChain lets each goroutine start the next one, b.N times in all.
func createChain(b *testing.B, chains int) {
	done := make(chan bool)
	var next func(n int)
	next = func(n int) {
		if n == 0 {
			done <- true
			return
		}
		go next(n - 1)
	}
	for i := 0; i < chains; i++ {
		go next(b.N / chains)
	}
	for i := 0; i < chains; i++ {
		<-done
	}
}

func BenchmarkCreateGoroutines(b *testing.B)         { createChain(b, 1) }
func BenchmarkCreateGoroutinesParallel(b *testing.B) { createChain(b, procs()) }

func BenchmarkCreateGoroutinesCapture(b *testing.B) {
	const n = 4
	for i := 0; i < b.N; i++ {
		var wg sync.WaitGroup
		wg.Add(n)
		for j := 0; j < n; j++ {
			j := j
			go func() {
				if j >= n {
					b.Error("captured the wrong value")
				}
				wg.Done()
			}()
		}
		wg.Wait()
	}
}

// occupyAllProcs returns once every processor has run a goroutine at the same time as all the others.
func occupyAllProcs() {
	var wg sync.WaitGroup
	var here int32
	all := int32(procs())
	for i := int32(0); i < all; i++ {
		wg.Add(1)
		go func() {
			atomic.AddInt32(&here, 1)
			for atomic.LoadInt32(&here) < all {
			}
			for start := time.Now(); time.Since(start) < time.Millisecond; {
			}
			wg.Done()
		}()
	}
	wg.Wait()
}

func BenchmarkCreateGoroutinesSingle(b *testing.B) {
	occupyAllProcs()
	b.ResetTimer()
	var wg sync.WaitGroup
	wg.Add(b.N)
	for i := 0; i < b.N; i++ {
		go func() { wg.Done() }()
	}
	wg.Wait()
}

// BenchmarkPingPongHog: b.N rounds of ping-pong on one processor that a third goroutine never gives up by itself.
func BenchmarkPingPongHog(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	stop, done := make(chan bool), make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				done <- true
				return
			default:
			}
		}
	}()
	ping, pong := make(chan bool), make(chan bool)
	go func() {
		for i := 0; i < b.N; i++ {
			pong <- <-ping
		}
		close(stop)
		done <- true
	}()
	go func() {
		for i := 0; i < b.N; i++ {
			ping <- <-pong
		}
		done <- true
	}()
	b.ResetTimer()
	ping <- true
	<-stop
	b.StopTimer()
	<-ping
	<-done
	<-done
	<-done
}

// BenchmarkYield: two goroutines per processor do b.N yields in all.
func BenchmarkYield(b *testing.B) {
	n := 2 * procs()
	each := b.N / n
	var wg sync.WaitGroup
	wg.Add(n)
	for g := 0; g < n; g++ {
		go func() {
			for i := 0; i < each; i++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
}

type matrix [][]float64

func newMatrix(n int) matrix {
	m := make(matrix, n)
	for i := range m {
		m[i] = make([]float64, n)
	}
	return m
}

type block struct{ i0, i1, j0, j1, k0, k1 int }

// multiply halves the longest side until the block is small; rows and columns in parallel, the sum in sequence.
func multiply(done chan<- struct{}, x, y, z matrix, r block) {
	const small = 8
	di, dj, dk := r.i1-r.i0, r.j1-r.j0, r.k1-r.k0
	low, high := r, r
	switch {
	case di >= dj && di >= dk && di >= small:
		low.i1 = r.i0 + di/2
		high.i0 = low.i1
		bothHalves(x, y, z, low, high)
	case dj >= dk && dj >= small:
		low.j1 = r.j0 + dj/2
		high.j0 = low.j1
		bothHalves(x, y, z, low, high)
	case dk >= small:
		low.k1 = r.k0 + dk/2
		high.k0 = low.k1
		multiply(nil, x, y, z, low)
		multiply(nil, x, y, z, high)
	default:
		for i := r.i0; i < r.i1; i++ {
			for j := r.j0; j < r.j1; j++ {
				for k := r.k0; k < r.k1; k++ {
					z[i][j] += x[i][k] * y[k][j]
				}
			}
		}
	}
	if done != nil {
		done <- struct{}{}
	}
}

func bothHalves(x, y, z matrix, low, high block) {
	ready := make(chan struct{}, 1)
	go multiply(ready, x, y, z, low)
	multiply(nil, x, y, z, high)
	<-ready
}

// BenchmarkMatmult: one operation is one multiply-add, so the side is the cube root of b.N.
func BenchmarkMatmult(b *testing.B) {
	b.StopTimer()
	n := int(math.Cbrt(float64(b.N))) + 1
	x, y, z := newMatrix(n), newMatrix(n), newMatrix(n)
	b.StartTimer()
	multiply(nil, x, y, z, block{0, n, 0, n, 0, n})
}
