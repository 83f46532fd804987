package bench

import (
	"sync"
	"sync/atomic"
	"testing"
)

// mapRow fills a map with the keys 0 … present-1, then runs one goroutine per processor over disjoint key ranges.
func mapRow(b *testing.B, present int, perG func(pb *testing.PB, i int, m *sync.Map)) {
	m := new(sync.Map)
	for i := 0; i < present; i++ {
		m.LoadOrStore(i, i)
	}
	for i := 0; i < 2*present; i++ {
		m.Load(i % present)
	}
	b.ResetTimer()
	var goroutines atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		id := int(goroutines.Add(1) - 1)
		perG(pb, id*b.N, m)
	})
}

func BenchmarkMapLoadMostlyHits(b *testing.B) {
	const hits, misses = 1023, 1
	mapRow(b, hits, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			m.Load(i % (hits + misses))
		}
	})
}

func BenchmarkMapLoadMostlyMisses(b *testing.B) {
	const hits, misses = 1, 1023
	mapRow(b, hits, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			m.Load(i % (hits + misses))
		}
	})
}

func BenchmarkMapLoadOrStoreBalanced(b *testing.B) {
	const hits, misses = 128, 128
	mapRow(b, hits, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			if j := i % (hits + misses); j < hits {
				m.LoadOrStore(j, i)
			} else {
				m.LoadOrStore(i, i)
			}
		}
	})
}

func BenchmarkMapLoadOrStoreUnique(b *testing.B) {
	mapRow(b, 0, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			m.LoadOrStore(i, i)
		}
	})
}

func BenchmarkMapLoadOrStoreCollision(b *testing.B) {
	mapRow(b, 1, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			m.LoadOrStore(0, 0)
		}
	})
}

func BenchmarkMapLoadAndDeleteBalanced(b *testing.B) {
	const hits, misses = 128, 128
	mapRow(b, hits, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			if j := i % (hits + misses); j < hits {
				m.LoadAndDelete(j)
			} else {
				m.LoadAndDelete(i)
			}
		}
	})
}

func BenchmarkMapLoadAndDeleteUnique(b *testing.B) {
	mapRow(b, 0, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			m.LoadAndDelete(i)
		}
	})
}

func BenchmarkMapLoadAndDeleteCollision(b *testing.B) {
	mapRow(b, 1, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			if _, loaded := m.LoadAndDelete(0); loaded {
				m.Store(0, 0)
			}
		}
	})
}

func BenchmarkMapRange(b *testing.B) {
	mapRow(b, 1<<10, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			m.Range(func(_, _ any) bool { return true })
		}
	})
}

func BenchmarkMapCompareAndSwapCollision(b *testing.B) {
	mapRow(b, 1, func(pb *testing.PB, i int, m *sync.Map) {
		for pb.Next() {
			if m.CompareAndSwap(0, 0, 42) {
				m.CompareAndSwap(0, 42, 0)
			}
		}
	})
}

func BenchmarkMapCompareAndSwapMostlyHits(b *testing.B) {
	const hits, misses = 1023, 1
	mapRow(b, hits, func(pb *testing.PB, i int, m *sync.Map) {
		for ; pb.Next(); i++ {
			v := i
			if j := i % (hits + misses); j < hits {
				v = j
			}
			m.CompareAndSwap(v, v, v)
		}
	})
}
