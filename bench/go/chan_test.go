package bench

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type (
	struct0  struct{}
	struct32 struct{ a, b, c, d int64 }
	struct40 struct{ a, b, c, d, e int64 }
)

func makeChan[T any](b *testing.B) {
	var ch chan T
	for i := 0; i < b.N; i++ {
		ch = make(chan T, 8)
	}
	close(ch)
}

func BenchmarkMakeChanByte(b *testing.B)     { makeChan[byte](b) }
func BenchmarkMakeChanInt(b *testing.B)      { makeChan[int](b) }
func BenchmarkMakeChanPtr(b *testing.B)      { makeChan[*byte](b) }
func BenchmarkMakeChanStruct0(b *testing.B)  { makeChan[struct0](b) }
func BenchmarkMakeChanStruct32(b *testing.B) { makeChan[struct32](b) }
func BenchmarkMakeChanStruct40(b *testing.B) { makeChan[struct40](b) }

func BenchmarkChanNonblocking(b *testing.B) {
	ch := make(chan int)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			select {
			case <-ch:
			default:
			}
		}
	})
}

// fillAndDrain sends a hundred values and takes them back; one operation is all two hundred.
func fillAndDrain(ch chan int) {
	for i := 0; i < 100; i++ {
		ch <- 0
	}
	for i := 0; i < 100; i++ {
		<-ch
	}
}

func BenchmarkChanUncontended(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		ch := make(chan int, 100)
		for pb.Next() {
			fillAndDrain(ch)
		}
	})
}

func BenchmarkChanContended(b *testing.B) {
	ch := make(chan int, 100*procs())
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			fillAndDrain(ch)
		}
	})
}

func chanSync(b *testing.B, load int) {
	const batch, pair = 1000, 2
	left := int32(b.N / batch / pair * pair)
	ch := make(chan int)
	done := make(chan bool, pair)
	for p := 0; p < pair; p++ {
		go func() {
			v := 0
			for {
				turn := atomic.AddInt32(&left, -1)
				if turn < 0 {
					break
				}
				for i := 0; i < batch; i++ {
					if turn%2 == 0 {
						<-ch
						v += work(load)
						ch <- 0
						v += work(load)
					} else {
						ch <- 0
						v += work(load)
						<-ch
						v += work(load)
					}
				}
			}
			done <- v == 42
		}()
	}
	for p := 0; p < pair; p++ {
		<-done
	}
}

func BenchmarkChanSync(b *testing.B)     { chanSync(b, 0) }
func BenchmarkChanSyncWork(b *testing.B) { chanSync(b, 1000) }

func chanProdCons(b *testing.B, capacity, load int) {
	const batch = 1000
	pairs := procs()
	left := int32(b.N / batch)
	ch := make(chan int, capacity)
	done := make(chan bool, 2*pairs)
	for p := 0; p < pairs; p++ {
		go func() {
			v := 0
			for atomic.AddInt32(&left, -1) >= 0 {
				for i := 0; i < batch; i++ {
					v += work(load)
					ch <- 1
				}
			}
			ch <- 0
			done <- v == 42
		}()
		go func() {
			v := 0
			for <-ch != 0 {
				v += work(load)
			}
			done <- v == 42
		}()
	}
	for i := 0; i < 2*pairs; i++ {
		<-done
	}
}

func BenchmarkChanProdCons0(b *testing.B)       { chanProdCons(b, 0, 0) }
func BenchmarkChanProdCons10(b *testing.B)      { chanProdCons(b, 10, 0) }
func BenchmarkChanProdCons100(b *testing.B)     { chanProdCons(b, 100, 0) }
func BenchmarkChanProdConsWork0(b *testing.B)   { chanProdCons(b, 0, 100) }
func BenchmarkChanProdConsWork10(b *testing.B)  { chanProdCons(b, 10, 100) }
func BenchmarkChanProdConsWork100(b *testing.B) { chanProdCons(b, 100, 100) }

func BenchmarkSelectUncontended(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		one, two := make(chan int, 1), make(chan int, 1)
		one <- 0
		for pb.Next() {
			select {
			case <-one:
				two <- 0
			case <-two:
				one <- 0
			}
		}
	})
}

func BenchmarkSelectSyncContended(b *testing.B) {
	one, two, three := make(chan int), make(chan int), make(chan int)
	stop := make(chan int)
	b.RunParallel(func(pb *testing.PB) {
		go func() {
			for {
				select {
				case one <- 0:
				case two <- 0:
				case three <- 0:
				case <-stop:
					return
				}
			}
		}()
		for pb.Next() {
			select {
			case <-one:
			case <-two:
			case <-three:
			}
		}
	})
	close(stop)
}

func BenchmarkSelectAsyncContended(b *testing.B) {
	one, two := make(chan int, procs()), make(chan int, procs())
	b.RunParallel(func(pb *testing.PB) {
		one <- 0
		for pb.Next() {
			select {
			case <-one:
				two <- 0
			case <-two:
				one <- 0
			}
		}
	})
}

func BenchmarkSelectNonblock(b *testing.B) {
	sync1, sync2 := make(chan int), make(chan int)
	async1, async2 := make(chan int, 1), make(chan int, 1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			select {
			case <-sync1:
			default:
			}
			select {
			case sync2 <- 0:
			default:
			}
			select {
			case <-async1:
			default:
			}
			select {
			case async2 <- 0:
			default:
			}
		}
	})
}

func BenchmarkSelectProdCons(b *testing.B) {
	const batch, load = 1000, 100
	pairs := procs()
	left := int32(b.N / batch)
	ch := make(chan int, 128)
	never := make(chan bool)
	done := make(chan bool, 2*pairs)
	for p := 0; p < pairs; p++ {
		go func() {
			v := 0
			hour := time.After(time.Hour)
			for atomic.AddInt32(&left, -1) >= 0 {
				for i := 0; i < batch; i++ {
					v += work(load)
					select {
					case ch <- 1:
					case <-hour:
					case <-never:
					}
				}
			}
			ch <- 0
			done <- v == 42
		}()
		go func() {
			v := 0
			hour := time.After(time.Hour)
			for open := true; open; {
				select {
				case got := <-ch:
					open = got != 0
				case <-hour:
				case <-never:
				}
				if open {
					v += work(load)
				}
			}
			done <- v == 42
		}()
	}
	for i := 0; i < 2*pairs; i++ {
		<-done
	}
}

func BenchmarkReceiveDataFromClosedChan(b *testing.B) {
	ch := make(chan struct{}, b.N)
	for i := 0; i < b.N; i++ {
		ch <- struct{}{}
	}
	close(ch)
	b.ResetTimer()
	for range ch {
	}
}

func BenchmarkChanCreation(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ch := make(chan int, 1)
			ch <- 0
			<-ch
		}
	})
}

func BenchmarkChanSem(b *testing.B) {
	ch := make(chan struct{}, procs())
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ch <- struct{}{}
			<-ch
		}
	})
}

// BenchmarkChanPopular: a thousand goroutines select on one common and one own channel; each operation sends to all.
func BenchmarkChanPopular(b *testing.B) {
	const n = 1000
	common := make(chan bool)
	own := make([]chan bool, n)
	var wg sync.WaitGroup
	wg.Add(n)
	for j := range own {
		d := make(chan bool)
		own[j] = d
		go func() {
			for i := 0; i < b.N; i++ {
				select {
				case <-common:
				case <-d:
				}
			}
			wg.Done()
		}()
	}
	for i := 0; i < b.N; i++ {
		for _, d := range own {
			d <- true
		}
	}
	wg.Wait()
}

func BenchmarkChanClosed(b *testing.B) {
	ch := make(chan struct{})
	close(ch)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			select {
			case <-ch:
			default:
				b.Error("a closed channel was not ready")
			}
		}
	})
}
