// Select: wait for several channels at once; of the ready cases one is chosen by chance.
package main

import (
	"fmt"
	"os"
)

func everySecondFrom(first int) <-chan int {
	out := make(chan int)
	go func() {
		for i := first; i <= 10; i += 2 {
			out <- i
		}
		close(out)
	}()
	return out
}

// A closed channel is always ready, so its case is switched off: no case of a nil channel ever fires.
func untilBothAreClosed() {
	odd, even := everySecondFrom(1), everySecondFrom(2)
	oddSum, evenSum := 0, 0
	for odd != nil || even != nil {
		select {
		case i, ok := <-odd:
			oddSum += i
			if !ok {
				odd = nil
			}
		case i, ok := <-even:
			evenSum += i
			if !ok {
				even = nil
			}
		}
	}
	fmt.Printf("odd %d, even %d\n", oddSum, evenSum)
}

func doNotWait() {
	quiet := make(chan int)
	select {
	case <-quiet:
		fmt.Println("a value?")
	default:
		fmt.Println("nothing ready")
	}
}

// Both sends are ready whenever the receiver is: the select tosses a coin.
func tossACoin() {
	coin := make(chan int)
	enough := make(chan struct{})
	go func() {
		for {
			select {
			case <-enough:
				return
			case coin <- 0:
			case coin <- 1:
			}
		}
	}()
	var seen [2]int
	for i := 0; i < 1000; i++ {
		seen[<-coin]++
	}
	close(enough)
	fmt.Println("both sides seen:", seen[0] > 0 && seen[1] > 0)
}

// What a loop does that keeps a closed channel among its cases: it spins.
func spinOnAClosedChannel() {
	closed, quiet := make(chan int), make(chan int)
	close(closed)
	chosen := 0
	for i := 0; i < 1000; i++ {
		select {
		case <-closed:
			chosen++
		case <-quiet:
		}
	}
	fmt.Println("closed, yet chosen:", chosen, "of 1000")
}

// The mistake: every case is switched off and the loop has no way out.
func selectForEver() {
	var odd, even chan int
	for {
		select {
		case <-odd:
		case <-even:
		}
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		selectForEver()
	}
	untilBothAreClosed()
	doNotWait()
	tossACoin()
	spinOnAClosedChannel()
}
