"""Exercise: five jobs, three workers, each result doubled, and a graceful close."""

import queue
import threading

JOBS, WORKERS = 5, 3
CLOSED = object()


def worker(jobs, results):
    while (job := jobs.get()) is not CLOSED:
        results.put((job, job * 2))


jobs, results = queue.Queue(), queue.Queue()
workers = [threading.Thread(target=worker, args=(jobs, results)) for _ in range(WORKERS)]
for thread in workers:
    thread.start()

for job in range(1, JOBS + 1):
    jobs.put(job)
for _ in workers:
    jobs.put(CLOSED)
for thread in workers:
    thread.join()

doubled = dict(results.get() for _ in range(JOBS))
for job, value in sorted(doubled.items()):
    print("job", job, "->", value)
print(len(doubled), "jobs done, workers left:", sum(thread.is_alive() for thread in workers))
