// Mutexes: one at a time, many readers at a time, and two locks at once without a deadlock.
package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

type counter struct {
	mutex sync.Mutex
	value int
}

func (c *counter) increment() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.value++
}

type phoneBook struct {
	mutex   sync.RWMutex
	numbers map[string]int
}

func (b *phoneBook) store(name string, number int) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.numbers[name] = number
}

func (b *phoneBook) knows(name string) bool {
	b.mutex.RLock()
	defer b.mutex.RUnlock()
	_, ok := b.numbers[name]
	return ok
}

type account struct {
	id    int
	mutex sync.Mutex
	euros int
}

// Go has no scoped_lock: an order that all keep to, here by id, does it.
func transfer(from, to *account, euros int) {
	first, second := from, to
	if second.id < first.id {
		first, second = second, first
	}
	first.mutex.Lock()
	defer first.mutex.Unlock()
	second.mutex.Lock()
	defer second.mutex.Unlock()
	from.euros -= euros
	to.euros += euros
}

// The mistake: each holds one lock and waits for the other's.
func lockInTwoOrders() {
	var a, b sync.Mutex
	var wg, bothHoldOne sync.WaitGroup
	bothHoldOne.Add(2)
	take := func(first, second *sync.Mutex) {
		defer wg.Done()
		first.Lock()
		bothHoldOne.Done()
		bothHoldOne.Wait()
		second.Lock()
	}
	wg.Add(2)
	go take(&a, &b)
	go take(&b, &a)
	wg.Wait()
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--mistake" {
		lockInTwoOrders()
	}
	var counted counter
	book := phoneBook{numbers: map[string]int{}}
	anna, bert := &account{id: 1, euros: 100}, &account{id: 2, euros: 100}
	var found atomic.Int32
	book.store("anna", 4711)

	var wg sync.WaitGroup
	for g := 0; g < 8; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			for i := 0; i < 1000; i++ {
				counted.increment()
				if book.knows("anna") {
					found.Add(1)
				}
				if g%2 == 0 {
					transfer(anna, bert, 1)
				} else {
					transfer(bert, anna, 1)
				}
			}
		}(g)
	}
	wg.Wait()
	fmt.Println("counted:", counted.value)
	fmt.Println("found:", found.Load())
	fmt.Printf("anna has %d, bert has %d\n", anna.euros, bert.euros)
}
