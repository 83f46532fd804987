"""The rows: what is compared, and by what each is bounded.

A row has the name of its benchmark (the same in every language) unless one benchmark yields several.
Which rows count for the two geometric means of the performance targets is decided here and nowhere else:

  every row of the kind "time" is in "all Go twins";
  those whose `bound` is empty are in the narrower set, which leaves out the rows that user work bounds and the rows
  that one locked instruction on both sides bounds.

bound="work": the body holds user work by construction: the rows named ...Work, the matrix product, and those that do
the same work under another name (a hundred rounds between two operations, or the touching of 32 or 128 KiB).
bound="lock": the uncontended mutex, the reader-writer mutex and once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    name: str
    group: str
    bench: str = ""  # the benchmark that yields it, if its name is another
    metric: str = "ns/op"
    bound: str = ""
    kind: str = "time"  # "time" counts in the means; "info" and "control" do not
    memory: bool = False  # gigabytes of it; see memory.py
    foundation: bool = False  # in the short list that `runnel bench` runs

    @property
    def benchmark(self):
        return self.bench or self.name


def _rows():
    def group(name, text, **common):
        for word in text.split():
            yield Row(word.rstrip("!"), name, foundation=word.endswith("!"), **common)

    yield Row("ControlWork1000", "control", kind="control")
    yield Row("ContextSwitch", "proc", kind="info", foundation=True)

    yield from group("chan", """
        MakeChanByte MakeChanInt MakeChanPtr MakeChanStruct0 MakeChanStruct32 MakeChanStruct40
        ChanNonblocking ChanUncontended! ChanContended ChanSync! ChanProdCons0! ChanProdCons10! ChanProdCons100!
        ReceiveDataFromClosedChan ChanCreation ChanSem ChanPopular ChanClosed""")
    yield from group("chan", "ChanSyncWork ChanProdConsWork0 ChanProdConsWork10 ChanProdConsWork100", bound="work")
    yield from group("select", """
        SelectUncontended! SelectSyncContended! SelectAsyncContended SelectNonblock""")
    yield from group("select", "SelectProdCons", bound="work")
    yield from group("proc", """
        CreateGoroutines! CreateGoroutinesParallel CreateGoroutinesCapture CreateGoroutinesSingle PingPongHog
        Yield!""")
    yield from group("proc", "Matmult", bound="work")

    yield from group("sync", "MutexUncontended", bound="lock")
    yield from group("sync", "Mutex MutexSlack")
    yield from group("sync", "MutexWork MutexWorkSlack MutexNoSpin MutexSpin", bound="work")
    yield from group("sync", "RWMutexUncontended RWMutexWrite100 RWMutexWrite10", bound="lock")
    yield from group("sync", "RWMutexWorkWrite100 RWMutexWorkWrite10", bound="work")
    yield from group("sync", "Once", bound="lock")
    yield from group("sync", """
        Cond1 Cond2 Cond4 Cond8 Cond16 Cond32
        WaitGroupUncontended WaitGroupAddDone WaitGroupWait WaitGroupActuallyWait
        Pool PoolOverflow PoolStarvation""")
    yield from group("sync", "WaitGroupAddDoneWork WaitGroupWaitWork", bound="work")
    yield from group("map", """
        MapLoadMostlyHits MapLoadMostlyMisses MapLoadOrStoreBalanced MapLoadOrStoreUnique MapLoadOrStoreCollision
        MapLoadAndDeleteBalanced MapLoadAndDeleteUnique MapLoadAndDeleteCollision MapRange
        MapCompareAndSwapCollision MapCompareAndSwapMostlyHits""")
    yield from group("time", """
        AfterFunc1000 After StopChan StopFunc SimultaneousAfterFunc1000 StartStop1000 ResetChan ResetFunc Sleep1000
        Ticker TickerReset TickerResetNaive""")
    yield from group("context", """
        WithTimeout40 WithTimeout4000 WithTimeout400000 CancelTree1 CancelTree10 CancelTree100 CancelTree1000
        CancelTreeClosed100 CheckCanceledErr CheckCanceledDone ErrOK ContextCancelDone
        DeepValueSameGoRoutine10 DeepValueSameGoRoutine100 DeepValueNewGoRoutine10 DeepValueNewGoRoutine100""")
    yield from group("context", "CommonParentCancel", bound="work")
    yield from group("x", "WeightedUncontended WeightedMany WeightedContended RateAllow RateWait")

    yield from group("program", "ThreadRing503 PingPong! PrimeSieve SpawnTree WorkerPool Pipeline3 FanInSelect")
    yield Row("Skynet1M", "program", foundation=True)
    for name, foundation in (("Parked1M", True), ("Sleepers1M", False)):
        for part, metric in (("spawn", "spawn-ns"), ("wake", "wake-ns"), ("bytes", "bytes")):
            yield Row(f"{name} {part}", "program", bench=name, metric=metric, memory=True,
                      foundation=foundation, kind="info" if metric == "bytes" else "time")
    yield Row("TimerChurn10M", "program")
    yield Row("Idle100k wakeups/s", "program", bench="Idle100k", metric="wakeups-per-s", kind="info")


ROWS = list(_rows())
GROUPS = list(dict.fromkeys(row.group for row in ROWS))


def matching(name):
    """The rows of a group, or those whose name contains the text in either case."""
    if name in GROUPS:
        return [row for row in ROWS if row.group == name]
    return [row for row in ROWS if name.lower() in row.name.lower()]
