// Channels: a send waits for its receiver, and close says that nothing more will come.
package main

import (
	"fmt"
	"os"
)

type request struct {
	number int
	reply  chan int // a channel is a value: it can be sent over a channel
}

func receiveUntilClosed() {
	colours := make(chan string)
	go func() {
		for _, name := range []string{"red", "green", "blue"} {
			colours <- name
		}
		close(colours)
	}()

	fmt.Println("first:", <-colours)
	for colour := range colours {
		fmt.Println("then:", colour)
	}
	colour, ok := <-colours
	if !ok {
		colour = "nothing"
	}
	fmt.Println("after close:", colour)
}

func askAServer() {
	requests := make(chan request)
	stopped := make(chan struct{})
	go func() {
		for r := range requests {
			r.reply <- r.number * r.number
		}
		close(stopped)
	}()

	reply := make(chan int)
	requests <- request{7, reply}
	fmt.Println("7 squared:", <-reply)
	close(requests)
	<-stopped
	fmt.Println("server stopped")
}

// The mistake: nobody will ever receive, so the send waits for ever.
func sendToNobody() { make(chan int) <- 1 }

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		sendToNobody()
	}
	receiveUntilClosed()
	askAServer()
}
