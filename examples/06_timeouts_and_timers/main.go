// Time-outs and timers: give up after a while, do it later, do it again and again.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// The reply has room for one: the goroutine can answer and end even when nobody listens any more.
func ask(beforeAnswering <-chan struct{}) <-chan int {
	reply := make(chan int, 1)
	go func() {
		<-beforeAnswering
		reply <- 42
	}()
	return reply
}

func giveUp() {
	goOn := make(chan struct{})
	slow := ask(goOn)
	select {
	case answer := <-slow:
		fmt.Println("answer:", answer)
	case <-time.After(20 * time.Millisecond):
		fmt.Println("no answer within 20 ms")
	}
	close(goOn)
	fast := ask(goOn)
	select {
	case answer := <-fast:
		fmt.Println("answer:", answer)
	case <-time.After(time.Minute):
		fmt.Println("no answer within 20 ms")
	}
}

func later() {
	timer := time.NewTimer(time.Hour)
	fmt.Println("stopped in time:", timer.Stop())
	timer.Reset(time.Millisecond)
	<-timer.C
	fmt.Println("fired after reset")

	called := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() { called <- struct{}{} })
	<-called
	fmt.Println("function called")
}

func againAndAgain() {
	begin := time.Now()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; i < 3; i++ {
		<-ticker.C
	}
	fmt.Println("3 ticks in 30 ms or more:", time.Since(begin) >= 30*time.Millisecond)
}

// time.After inside the loop would start anew in every round and never fire: each tick comes first.
func untilADeadline() {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(50 * time.Millisecond)
	for over := false; !over; {
		select {
		case <-ticker.C:
		case <-deadline:
			over = true
		}
	}
	fmt.Println("deadline kept between ticks")
}

// The mistake: no room for the reply. Who has given up never receives it, and the sender leaks.
func leakTheLateAnswer() {
	reply := make(chan int)
	gaveUp := make(chan struct{})
	go func() {
		<-gaveUp
		reply <- 42
	}()
	select {
	case <-reply:
	case <-time.After(20 * time.Millisecond):
	}
	close(gaveUp)
	fmt.Println("goroutines left:", runtime.NumGoroutine()-1)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		leakTheLateAnswer()
		return
	}
	giveUp()
	later()
	againAndAgain()
	untilADeadline()
}
