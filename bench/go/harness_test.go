// Package bench holds the Go twins of the benchmarks in bench/*.cpp. A row has the same name on both sides (here
// with the prefix Benchmark) and does the same operation the same number of times; what differs is only how each
// system's users write it. Rows that exist in Go's own test suites measure the operation that Go measures there.
package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shared keeps results alive, so that no loop can be removed for want of a reader.
var shared int

// procs is the number of processors of this run, from GOMAXPROCS.
func procs() int { return runtime.GOMAXPROCS(0) }

// scaled divides the size of a whole program by BENCH_SCALE, which the driver sets for quick runs.
func scaled(n int) int {
	if s, err := strconv.Atoi(os.Getenv("BENCH_SCALE")); err == nil && s > 1 {
		return n / s
	}
	return n
}

// work is the user work of the "Work" rows, n rounds. Go's own rows multiply and divide zero, which its compiler
// folds: what is left, and what the C++ side does too, is a counted loop.
func work(n int) int {
	v := 0
	for i := 0; i < n; i++ {
		v *= 2
		v /= 2
	}
	return v
}

// perUnit reports the time of one of the n units that one iteration consists of, in place of the iteration's.
func perUnit(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/op")
}

// residentBytes is the resident set of this process.
func residentBytes() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	field := 0
	var pages int64
	for _, c := range raw {
		if c == ' ' {
			field++
			continue
		}
		if field == 1 {
			pages = pages*10 + int64(c-'0')
		}
		if field > 1 {
			break
		}
	}
	return pages * int64(os.Getpagesize())
}

// BenchmarkControlWork1000 measures the user work alone: what the compilers contribute to the Work rows.
func BenchmarkControlWork1000(b *testing.B) {
	v := 0
	for i := 0; i < b.N; i++ {
		v += work(1000)
	}
	shared += v
}

// since is the time since t in nanoseconds, as ReportMetric takes it.
func since(t time.Time) float64 { return float64(time.Since(t).Nanoseconds()) }

// threadSwitches are the voluntary context switches of all threads of this process since their start.
func threadSwitches() int64 {
	var sum int64
	files, _ := filepath.Glob("/proc/self/task/*/status")
	for _, file := range files {
		raw, _ := os.ReadFile(file)
		for _, line := range strings.Split(string(raw), "\n") {
			if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "voluntary_ctxt_switches:" {
				count, _ := strconv.ParseInt(fields[1], 10, 64)
				sum += count
			}
		}
	}
	return sum
}
