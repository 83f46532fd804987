"""Publish and subscribe: each subscriber has a queue of its own, and a slow one misses, never blocks."""

import asyncio


class Broker:
    def __init__(self):
        self._subscribers = []
        self._missed = 0

    def subscribe(self, room):
        subscriber = asyncio.Queue(room)
        self._subscribers.append(subscriber)
        return subscriber

    def publish(self, item):
        for subscriber in self._subscribers:
            try:
                subscriber.put_nowait(item)
            except asyncio.QueueFull:
                self._missed += 1

    def close(self):
        """A queue has no close, and a full one has no room for a sentinel: the list says who is left."""
        self._subscribers.clear()
        return self._missed


def show(name, news):
    items = []
    while not news.empty():
        items.append(news.get_nowait())
    print(f"{name}:", *items)


async def main():
    news = Broker()
    anna, bert = news.subscribe(8), news.subscribe(2)
    for item in ("one", "two", "three"):
        news.publish(item)
    cleo = news.subscribe(8)
    for item in ("four", "five"):
        news.publish(item)
    missed = news.close()

    show("anna", anna)
    show("bert, room for two", bert)
    show("cleo, came late", cleo)
    print("missed:", missed)


asyncio.run(main())
