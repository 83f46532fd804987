// Publish and subscribe: each subscriber has a channel of its own, and a slow one misses, never blocks.
package main

import (
	"fmt"
	"sync"
)

type broker struct {
	mutex       sync.Mutex
	subscribers []chan string
	missed      int
}

// Room is what the subscriber may fall behind before it begins to miss.
func (b *broker) subscribe(room int) <-chan string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	subscriber := make(chan string, room)
	b.subscribers = append(b.subscribers, subscriber)
	return subscriber
}

// Never blocks, so that one slow subscriber holds up neither the publisher nor the others.
func (b *broker) publish(item string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, subscriber := range b.subscribers {
		select {
		case subscriber <- item:
		default:
			b.missed++
		}
	}
}

// Subscribers still receive what they have room for, then their loops end.
func (b *broker) close() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, subscriber := range b.subscribers {
		close(subscriber)
	}
	b.subscribers = nil
	return b.missed
}

func print(name string, news <-chan string) {
	fmt.Print(name, ":")
	for item := range news {
		fmt.Print(" ", item)
	}
	fmt.Println()
}

func main() {
	var news broker
	anna, bert := news.subscribe(8), news.subscribe(2)
	for _, item := range []string{"one", "two", "three"} {
		news.publish(item)
	}
	cleo := news.subscribe(8)
	for _, item := range []string{"four", "five"} {
		news.publish(item)
	}
	missed := news.close()

	print("anna", anna)
	print("bert, room for two", bert)
	print("cleo, came late", cleo)
	fmt.Println("missed:", missed)
}
