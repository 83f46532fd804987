// Rate limiting: a ticker spaces work evenly, a token bucket lets a burst through and then the average.
package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// limiter is what golang.org/x/time/rate does, without reservations.
type limiter struct {
	mutex  sync.Mutex
	every  time.Duration
	burst  time.Duration // as time: a full bucket is burst tokens, each worth `every`
	filled time.Time     // when the bucket was, or will be, full but for what has been taken
}

func newLimiter(every time.Duration, burst int) *limiter {
	return &limiter{every: every, burst: time.Duration(burst) * every}
}

// take books a token that is there before the deadline and says when; false leaves the bucket as it is.
func (l *limiter) take(deadline time.Time) (time.Time, bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := time.Now()
	filled := l.filled
	if filled.Before(now) {
		filled = now
	}
	filled = filled.Add(l.every)
	at := filled.Add(-l.burst)
	if at.After(now) && at.After(deadline) {
		return at, false
	}
	l.filled = filled
	return at, true
}

func (l *limiter) allow() bool {
	_, ok := l.take(time.Now())
	return ok
}

func (l *limiter) wait(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().AddDate(100, 0, 0)
	}
	at, ok := l.take(deadline)
	if !ok {
		return context.DeadlineExceeded
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(at)):
		return nil
	}
}

func evenlyByTicker() {
	begin := time.Now()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for request := 1; request <= 5; request++ {
		<-ticker.C
		fmt.Println("request", request)
	}
	fmt.Println("5 in 50 ms or more:", time.Since(begin) >= 50*time.Millisecond)
}

// The bucket begins full. One token an hour: within this program it is never refilled.
func inBursts() {
	limiter := newLimiter(time.Hour, 3)
	fmt.Print("burst:")
	for request := 1; request <= 5; request++ {
		if limiter.allow() {
			fmt.Print(" yes")
		} else {
			fmt.Print(" no")
		}
	}
	fmt.Println()
}

// wait sleeps until a token is there, and refuses at once where the context would end sooner.
func waitForAToken() {
	begin := time.Now()
	quick := newLimiter(10*time.Millisecond, 1)
	for i := 0; i < 4; i++ {
		quick.wait(context.Background())
	}
	fmt.Println("4 waits in 30 ms or more:", time.Since(begin) >= 30*time.Millisecond)

	slow := newLimiter(time.Hour, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	slow.wait(ctx)
	refused := slow.wait(ctx) != nil
	fmt.Printf("refused: %t, and still alive: %t\n", refused, ctx.Err() == nil)
}

func allowedOfNine(oneForAll bool) int32 {
	shared := newLimiter(time.Hour, 3)
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for worker := 0; worker < 3; worker++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			limiter := shared
			if !oneForAll {
				limiter = newLimiter(time.Hour, 3)
			}
			for request := 0; request < 3; request++ {
				if limiter.allow() {
					allowed.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	return allowed.Load()
}

// The mistake: a limiter for each worker limits each worker, not the whole.
func oneLimiterEach() {
	fmt.Println("one limiter for all:", allowedOfNine(true), "of 9")
	fmt.Println("one limiter each:", allowedOfNine(false), "of 9")
}

func main() {
	evenlyByTicker()
	inBursts()
	waitForAToken()
	oneLimiterEach()
}
