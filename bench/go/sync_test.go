package bench

import (
	"sync"
	"testing"
)

func BenchmarkMutexUncontended(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		var own struct {
			sync.Mutex
			_ [128]byte
		}
		for pb.Next() {
			own.Lock()
			own.Unlock()
		}
	})
}

func mutexPairs(b *testing.B, parallelism, load int) {
	var mu sync.Mutex
	b.SetParallelism(parallelism)
	b.RunParallel(func(pb *testing.PB) {
		v := 0
		for pb.Next() {
			mu.Lock()
			mu.Unlock()
			v += work(load)
		}
		_ = v
	})
}

func BenchmarkMutex(b *testing.B)          { mutexPairs(b, 1, 0) }
func BenchmarkMutexSlack(b *testing.B)     { mutexPairs(b, 10, 0) }
func BenchmarkMutexWork(b *testing.B)      { mutexPairs(b, 1, 100) }
func BenchmarkMutexWorkSlack(b *testing.B) { mutexPairs(b, 10, 100) }

// BenchmarkMutexNoSpin: spinning cannot pay, as every goroutine that does not hold the lock has work and switches.
func BenchmarkMutexNoSpin(b *testing.B) {
	var mu sync.Mutex
	var x, y uint64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		back := make(chan bool)
		var data [4 << 10]uint64
		for i := 0; pb.Next(); i++ {
			if i%4 == 0 {
				mu.Lock()
				x -= 100
				y += 100
				mu.Unlock()
				continue
			}
			for k := 0; k < len(data); k += 4 {
				data[k]++
			}
			go func() { back <- true }()
			<-back
		}
	})
}

// BenchmarkMutexSpin: spinning pays, as a switch would cost the goroutine its warm cache.
func BenchmarkMutexSpin(b *testing.B) {
	var mu sync.Mutex
	var x, y uint64
	b.RunParallel(func(pb *testing.PB) {
		var data [16 << 10]uint64
		for pb.Next() {
			mu.Lock()
			x -= 100
			y += 100
			mu.Unlock()
			for k := 0; k < len(data); k += 4 {
				data[k]++
			}
		}
	})
}

func BenchmarkRWMutexUncontended(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		var own struct {
			sync.RWMutex
			_ [128]byte
		}
		for pb.Next() {
			own.RLock()
			own.RLock()
			own.RUnlock()
			own.RUnlock()
			own.Lock()
			own.Unlock()
		}
	})
}

func rwMutex(b *testing.B, writeEvery, load int) {
	var mu sync.RWMutex
	b.RunParallel(func(pb *testing.PB) {
		v, turn := 0, 0
		for pb.Next() {
			turn++
			if turn%writeEvery == 0 {
				mu.Lock()
				mu.Unlock()
				continue
			}
			mu.RLock()
			v += work(load)
			mu.RUnlock()
		}
		_ = v
	})
}

func BenchmarkRWMutexWrite100(b *testing.B)     { rwMutex(b, 100, 0) }
func BenchmarkRWMutexWrite10(b *testing.B)      { rwMutex(b, 10, 0) }
func BenchmarkRWMutexWorkWrite100(b *testing.B) { rwMutex(b, 100, 100) }
func BenchmarkRWMutexWorkWrite10(b *testing.B)  { rwMutex(b, 10, 100) }

func BenchmarkOnce(b *testing.B) {
	var once sync.Once
	f := func() {}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			once.Do(f)
		}
	})
}

// condRounds: the last of waiters+1 goroutines to arrive wakes the others; every one does b.N arrivals.
func condRounds(b *testing.B, waiters int) {
	cond := sync.NewCond(&sync.Mutex{})
	done := make(chan bool)
	here := 0
	for g := 0; g <= waiters; g++ {
		go func() {
			for i := 0; i < b.N; i++ {
				cond.L.Lock()
				if here == -1 {
					cond.L.Unlock()
					break
				}
				here++
				if here == waiters+1 {
					here = 0
					cond.Broadcast()
				} else {
					cond.Wait()
				}
				cond.L.Unlock()
			}
			cond.L.Lock()
			here = -1
			cond.Broadcast()
			cond.L.Unlock()
			done <- true
		}()
	}
	for g := 0; g <= waiters; g++ {
		<-done
	}
}

func BenchmarkCond1(b *testing.B)  { condRounds(b, 1) }
func BenchmarkCond2(b *testing.B)  { condRounds(b, 2) }
func BenchmarkCond4(b *testing.B)  { condRounds(b, 4) }
func BenchmarkCond8(b *testing.B)  { condRounds(b, 8) }
func BenchmarkCond16(b *testing.B) { condRounds(b, 16) }
func BenchmarkCond32(b *testing.B) { condRounds(b, 32) }

func BenchmarkWaitGroupUncontended(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		var own struct {
			sync.WaitGroup
			_ [128]byte
		}
		for pb.Next() {
			own.Add(1)
			own.Done()
			own.Wait()
		}
	})
}

func addDone(b *testing.B, load int) {
	var wg sync.WaitGroup
	b.RunParallel(func(pb *testing.PB) {
		v := 0
		for pb.Next() {
			wg.Add(1)
			v += work(load)
			wg.Done()
		}
		_ = v
	})
}

func BenchmarkWaitGroupAddDone(b *testing.B)     { addDone(b, 0) }
func BenchmarkWaitGroupAddDoneWork(b *testing.B) { addDone(b, 100) }

func waitZero(b *testing.B, load int) {
	var wg sync.WaitGroup
	b.RunParallel(func(pb *testing.PB) {
		v := 0
		for pb.Next() {
			wg.Wait()
			v += work(load)
		}
		_ = v
	})
}

func BenchmarkWaitGroupWait(b *testing.B)     { waitZero(b, 0) }
func BenchmarkWaitGroupWaitWork(b *testing.B) { waitZero(b, 100) }

func BenchmarkWaitGroupActuallyWait(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var wg sync.WaitGroup
			wg.Add(1)
			go func() { wg.Done() }()
			wg.Wait()
		}
	})
}

func poolRounds(b *testing.B, puts, gets int) {
	var p sync.Pool
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			for i := 0; i < puts; i++ {
				p.Put(1)
			}
			for i := 0; i < gets; i++ {
				p.Get()
			}
		}
	})
}

func BenchmarkPool(b *testing.B)           { poolRounds(b, 1, 1) }
func BenchmarkPoolOverflow(b *testing.B)   { poolRounds(b, 100, 100) }
func BenchmarkPoolStarvation(b *testing.B) { poolRounds(b, 67, 100) }
