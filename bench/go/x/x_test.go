// Package x holds the Go twins that need golang.org/x. They are a module of their own, so that the others build
// where these two modules cannot be fetched.
package x

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// BenchmarkWeightedUncontended: one goroutine takes and returns one unit of a weighted semaphore.
func BenchmarkWeightedUncontended(b *testing.B) {
	ctx := context.Background()
	sem := semaphore.NewWeighted(2)
	for i := 0; i < b.N; i++ {
		if sem.Acquire(ctx, 1) != nil {
			b.Fatal("the context is alive")
		}
		sem.Release(1)
	}
}

// BenchmarkWeightedMany: 128 units taken in eights, then returned.
func BenchmarkWeightedMany(b *testing.B) {
	ctx := context.Background()
	sem := semaphore.NewWeighted(128)
	for i := 0; i < b.N; i++ {
		for i := 0; i < 16; i++ {
			if sem.Acquire(ctx, 8) != nil {
				b.Fatal("the context is alive")
			}
		}
		for i := 0; i < 16; i++ {
			sem.Release(8)
		}
	}
}

// BenchmarkWeightedContended: ten goroutines per processor share two units.
func BenchmarkWeightedContended(b *testing.B) {
	ctx := context.Background()
	sem := semaphore.NewWeighted(2)
	b.SetParallelism(10)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if sem.Acquire(ctx, 1) != nil {
				b.Error("the context is alive")
			}
			sem.Release(1)
		}
	})
}

// BenchmarkRateAllow: a limiter that nearly always refuses.
func BenchmarkRateAllow(b *testing.B) {
	limiter := rate.NewLimiter(rate.Every(time.Second), 1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			limiter.Allow()
		}
	})
}

// BenchmarkRateWait: a limiter that never makes its caller wait.
func BenchmarkRateWait(b *testing.B) {
	ctx := context.Background()
	limiter := rate.NewLimiter(rate.Limit(b.N), b.N)
	for i := 0; i < b.N; i++ {
		if limiter.WaitN(ctx, 1) != nil {
			b.Fatal("the context is alive")
		}
	}
}
