"""Locks: threads need them although the GIL runs one thread at a time, for += is not one step."""

import threading


class Counter:
    def __init__(self):
        self._lock = threading.Lock()
        self.value = 0

    def increment(self):
        with self._lock:
            self.value += 1


class PhoneBook:
    """The standard library has no lock for many readers: they take turns."""

    def __init__(self):
        self._lock = threading.Lock()
        self._numbers = {}

    def store(self, name, number):
        with self._lock:
            self._numbers[name] = number

    def knows(self, name):
        with self._lock:
            return name in self._numbers


class Account:
    def __init__(self, number):
        self.number = number
        self.lock = threading.Lock()
        self.euros = 100


def transfer(source, target, euros):
    first, second = sorted((source, target), key=lambda account: account.number)
    with first.lock, second.lock:
        source.euros -= euros
        target.euros += euros


def main():
    counted, found, book = Counter(), Counter(), PhoneBook()
    anna, bert = Account(1), Account(2)
    book.store("anna", 4711)

    def work(g):
        for _ in range(1000):
            counted.increment()
            if book.knows("anna"):
                found.increment()
            transfer(anna, bert, 1) if g % 2 == 0 else transfer(bert, anna, 1)

    threads = [threading.Thread(target=work, args=(g,)) for g in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("counted:", counted.value)
    print("found:", found.value)
    print(f"anna has {anna.euros}, bert has {bert.euros}")


main()
