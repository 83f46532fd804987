package bench

import (
	"context"
	"sync"
	"testing"
	"time"
)

type key string

// BenchmarkCommonParentCancel: children of one parent come and go in parallel, with some user work between.
func BenchmarkCommonParentCancel(b *testing.B) {
	root := context.WithValue(context.Background(), key("key"), "value")
	parent, stop := context.WithCancel(root)
	defer stop()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		v := 0
		for pb.Next() {
			ctx, cancel := context.WithCancel(parent)
			if ctx.Value(key("key")).(string) != "value" {
				b.Error("the value is lost")
			}
			v += work(100)
			cancel()
			v += work(100)
		}
		_ = v
	})
}

// withTimeout creates and cancels ten contexts per operation while `alive` others have a deadline pending.
func withTimeout(b *testing.B, alive int) {
	root := context.Background()
	var wg sync.WaitGroup
	others := make([][]context.CancelFunc, procs())
	for p := range others {
		wg.Add(1)
		go func(p int) {
			defer wg.Done()
			mine := make([]context.CancelFunc, alive/len(others))
			for i := range mine {
				_, mine[i] = context.WithTimeout(root, time.Hour)
			}
			others[p] = mine
		}(p)
	}
	wg.Wait()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		cancels := make([]context.CancelFunc, 10)
		for pb.Next() {
			for i := range cancels {
				_, cancels[i] = context.WithTimeout(root, time.Hour)
			}
			for _, cancel := range cancels {
				cancel()
			}
		}
	})
	b.StopTimer()
	for _, mine := range others {
		for _, cancel := range mine {
			cancel()
		}
	}
}

func BenchmarkWithTimeout40(b *testing.B)     { withTimeout(b, 40) }
func BenchmarkWithTimeout4000(b *testing.B)   { withTimeout(b, 4000) }
func BenchmarkWithTimeout400000(b *testing.B) { withTimeout(b, 400000) }

func chain(ctx context.Context, depth int) {
	for i := 0; i < depth; i++ {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		_ = cancel // the parent's cancel ends the chain
	}
}

// cancelTree builds a chain of contexts below a live parent and cancels it from the top.
func cancelTree(b *testing.B, depth int) {
	for i := 0; i < b.N; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		chain(ctx, depth)
		cancel()
	}
}

func BenchmarkCancelTree1(b *testing.B)    { cancelTree(b, 1) }
func BenchmarkCancelTree10(b *testing.B)   { cancelTree(b, 10) }
func BenchmarkCancelTree100(b *testing.B)  { cancelTree(b, 100) }
func BenchmarkCancelTree1000(b *testing.B) { cancelTree(b, 1000) }

func BenchmarkCancelTreeClosed100(b *testing.B) {
	for i := 0; i < b.N; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		chain(ctx, 100)
	}
}

func BenchmarkCheckCanceledErr(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for i := 0; i < b.N; i++ {
		if ctx.Err() == nil {
			b.Fatal("the context is canceled")
		}
	}
}

func BenchmarkCheckCanceledDone(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for i := 0; i < b.N; i++ {
		select {
		case <-ctx.Done():
		default:
		}
	}
}

func BenchmarkErrOK(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := 0; i < b.N; i++ {
		if ctx.Err() != nil {
			b.Fatal("the context is alive")
		}
	}
}

func BenchmarkContextCancelDone(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			select {
			case <-ctx.Done():
			default:
			}
		}
	})
}

// deep is a chain of values; a look-up of a key that is not there passes all of them.
func deep(depth int) context.Context {
	ctx := context.Background()
	for i := 0; i < depth; i++ {
		ctx = context.WithValue(ctx, i, i)
	}
	return ctx
}

func deepValue(b *testing.B, depth int) {
	ctx := deep(depth)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		ctx.Value(-1)
	}
}

func BenchmarkDeepValueSameGoRoutine10(b *testing.B)  { deepValue(b, 10) }
func BenchmarkDeepValueSameGoRoutine100(b *testing.B) { deepValue(b, 100) }

func deepValueNew(b *testing.B, depth int) {
	ctx := deep(depth)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			ctx.Value(-1)
		}()
		wg.Wait()
	}
}

func BenchmarkDeepValueNewGoRoutine10(b *testing.B)  { deepValueNew(b, 10) }
func BenchmarkDeepValueNewGoRoutine100(b *testing.B) { deepValueNew(b, 100) }
