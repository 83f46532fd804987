package bench

import (
	"sync"
	"testing"
	"time"
)

// amongTimers runs the body in parallel while 32768 timers per processor are pending, as a busy server has them.
func amongTimers(b *testing.B, body func(*testing.PB)) {
	var wg sync.WaitGroup
	pending := make([][]*time.Timer, procs())
	for p := range pending {
		wg.Add(1)
		go func(p int) {
			defer wg.Done()
			mine := make([]*time.Timer, 1<<15)
			for i := range mine {
				mine[i] = time.AfterFunc(time.Hour, nil)
			}
			pending[p] = mine
		}(p)
	}
	wg.Wait()
	b.ResetTimer()
	b.RunParallel(body)
	b.StopTimer()
	for _, mine := range pending {
		for _, t := range mine {
			t.Stop()
		}
	}
}

// BenchmarkAfterFunc1000: a thousand timers due at once, each set by the one before.
func BenchmarkAfterFunc1000(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		for pb.Next() {
			left := 1000
			done := make(chan bool)
			var again func()
			again = func() {
				left--
				if left >= 0 {
					time.AfterFunc(0, again)
				} else {
					done <- true
				}
			}
			time.AfterFunc(0, again)
			<-done
		}
	})
}

func BenchmarkAfter(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		for pb.Next() {
			<-time.After(1)
		}
	})
}

func BenchmarkStopChan(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		for pb.Next() {
			time.NewTimer(time.Second).Stop()
		}
	})
}

func BenchmarkStopFunc(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		for pb.Next() {
			time.AfterFunc(time.Second, func() {}).Stop()
		}
	})
}

func BenchmarkSimultaneousAfterFunc1000(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		for pb.Next() {
			const n = 1000
			var wg sync.WaitGroup
			wg.Add(n)
			for i := 0; i < n; i++ {
				time.AfterFunc(0, wg.Done)
			}
			wg.Wait()
		}
	})
}

func BenchmarkStartStop1000(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		for pb.Next() {
			timers := make([]*time.Timer, 1000)
			for i := range timers {
				timers[i] = time.AfterFunc(time.Hour, nil)
			}
			for _, t := range timers {
				t.Stop()
			}
		}
	})
}

func BenchmarkResetChan(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		t := time.NewTimer(time.Hour)
		for pb.Next() {
			t.Reset(time.Hour)
		}
		t.Stop()
	})
}

func BenchmarkResetFunc(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		t := time.AfterFunc(time.Hour, func() {})
		for pb.Next() {
			t.Reset(time.Hour)
		}
		t.Stop()
	})
}

func BenchmarkSleep1000(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		for pb.Next() {
			const n = 1000
			var wg sync.WaitGroup
			wg.Add(n)
			for i := 0; i < n; i++ {
				go func() {
					time.Sleep(time.Nanosecond)
					wg.Done()
				}()
			}
			wg.Wait()
		}
	})
}

func BenchmarkTicker(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		t := time.NewTicker(time.Nanosecond)
		for pb.Next() {
			<-t.C
		}
		t.Stop()
	})
}

func BenchmarkTickerReset(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		t := time.NewTicker(time.Nanosecond)
		for pb.Next() {
			t.Reset(2 * time.Nanosecond)
		}
		t.Stop()
	})
}

func BenchmarkTickerResetNaive(b *testing.B) {
	amongTimers(b, func(pb *testing.PB) {
		t := time.NewTicker(time.Nanosecond)
		for pb.Next() {
			t.Stop()
			t = time.NewTicker(2 * time.Nanosecond)
		}
		t.Stop()
	})
}
