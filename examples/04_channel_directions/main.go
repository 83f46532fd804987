// Channel directions: a signature says who sends and who receives, and the compiler holds everyone to it.
package main

import (
	"fmt"
	"os"
)

func count(out chan<- int, upTo int) {
	for i := 1; i <= upTo; i++ {
		out <- i
	}
	close(out) // only the sending side can close, for only it knows when nothing more will come
}

func square(in <-chan int, out chan<- int) {
	for i := range in {
		out <- i * i
	}
	close(out)
}

func print(in <-chan int) {
	for i := range in {
		fmt.Println(i)
	}
}

// The mistake: with the whole channel in its hands the receiver may close it, and the sender panics.
func closeOnTheWrongSide() {
	numbers, enough := make(chan int), make(chan int)
	go func() {
		<-numbers
		close(numbers)
		close(enough)
	}()
	numbers <- 1
	<-enough
	numbers <- 2
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		closeOnTheWrongSide()
	}
	numbers, squares := make(chan int), make(chan int)
	go count(numbers, 5)
	go square(numbers, squares)
	print(squares)
}
