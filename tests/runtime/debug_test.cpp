// The parts that reports are made of: names, walks, snapshots, text.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <functional>
#include <runnel/chan.hpp>
#include <runnel/detail/wait_reason.hpp>
#include <runnel/go.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "arch/unwind.hpp"
#include "debug/backtrace.hpp"
#include "debug/elf_symbols.hpp"
#include "debug/fault_guard.hpp"
#include "debug/libdw.hpp"
#include "debug/names.hpp"
#include "debug/report.hpp"
#include "debug/sink.hpp"
#include "debug/snapshot.hpp"
#include "debug/symbolize.hpp"
#include "support/test.hpp"

using namespace runnel::debug;
using runnel::detail::wait_reason;

namespace {

void append_to_string(void* argument, const char* text, std::size_t size) {
  static_cast<std::string*>(argument)->append(text, size);
}

std::string text_of(const std::function<void(sink&)>& write) {
  std::string text;
  {
    sink out(&append_to_string, &text);
    write(out);
  }
  return text;
}

struct shown {
  std::string name;
  bool has_parameters;
  friend bool operator==(const shown&, const shown&) = default;
  friend std::ostream& operator<<(std::ostream& out, const shown& s) {
    return out << s.name << (s.has_parameters ? "(...)" : "()");
  }
};

shown show(const char* function, bool has_parameters = false) {
  std::string name = display_name(function, has_parameters);
  return {name, has_parameters};
}

std::string report_text(const snapshot& s, effort how = effort::quick) {
  return text_of([&](sink& out) { report_writer(out, how).write(s); });
}

}  // namespace

// Found by their symbols below, so neither static nor inlined.
[[gnu::noinline]] void capture_at_depth(int n, backtrace& trace) {
  if (n == 0) {
    capture_here(trace);
  } else {
    capture_at_depth(n - 1, trace);
  }
  asm volatile("");  // no tail call
}
[[gnu::noinline]] void park_at_depth(int n, const runnel::chan<void>& c) {
  if (n == 0) {
    c.recv();
  } else {
    park_at_depth(n - 1, c);
  }
  asm volatile("");
}

TEST(debug_sink, formats_numbers) {
  EXPECT_EQ(text_of([](sink& out) {
              out.put_dec(0).put(' ').put_dec(UINT64_MAX).put(' ').put_hex(0).put(' ');
              out.put_hex(0xdeadbeef12).put(' ').put_hex(UINT64_MAX);
            }),
            "0 18446744073709551615 0x0 0xdeadbeef12 0xffffffffffffffff");
}

TEST(debug_sink, keeps_the_order_of_texts_longer_than_its_buffer) {
  std::string expected;
  const std::string text = text_of([&](sink& out) {
    for (int i = 0; i < 700; ++i) {
      const std::string piece =
          std::to_string(i) + std::string(static_cast<std::size_t>(i % 5), '.');
      expected += piece;
      out.put(piece);
    }
    const std::string large(5000, 'x');
    expected += large;
    out.put(large);
  });
  EXPECT_EQ(text, expected);
}

TEST(debug_names, wait_reasons_are_spelled_as_promised) {
  using runnel::detail::text;
  const std::vector<std::pair<wait_reason, std::string_view>> spellings{
      {wait_reason::chan_receive, "chan receive"},
      {wait_reason::chan_send, "chan send"},
      {wait_reason::chan_receive_nil, "chan receive (nil chan)"},
      {wait_reason::chan_send_nil, "chan send (nil chan)"},
      {wait_reason::select, "select"},
      {wait_reason::select_no_cases, "select (no cases)"},
      {wait_reason::mutex_lock, "sync.Mutex.Lock"},
      {wait_reason::shared_mutex_lock, "sync.RWMutex.Lock"},
      {wait_reason::shared_mutex_rlock, "sync.RWMutex.RLock"},
      {wait_reason::wait_group_wait, "sync.WaitGroup.Wait"},
      {wait_reason::cond_wait, "sync.Cond.Wait"},
      {wait_reason::semacquire, "semacquire"},
      {wait_reason::sleep, "sleep"},
      {wait_reason::io_wait, "IO wait"},
      {wait_reason::latch, "latch"},
      {wait_reason::barrier, "barrier"},
      {wait_reason::future, "future"},
      {wait_reason::once, "once"},
      {wait_reason::blocking, "blocking"},
  };
  for (const auto& [reason, words] : spellings) EXPECT_EQ(text(reason), words);
}

TEST(debug_names, display_cuts_parameters_and_return_types) {
  EXPECT_EQ(show("_Z3foov"), (shown{"foo", false}));
  EXPECT_EQ(show("_Z3fooi"), (shown{"foo", true}));
  EXPECT_EQ(show("_ZN1a1bILi3EEEiT_"), (shown{"a::b<3>", true}));
  EXPECT_EQ(show("_ZNK1a1b1cEv"), (shown{"a::b::c", false}));
  EXPECT_EQ(show("_ZN1aIiEcvbEv"), (shown{"a<int>::operator bool", false}));
  EXPECT_EQ(show("_ZN1aclEi"), (shown{"a::operator()", true}));
  EXPECT_EQ(show("_Z1fIiEPKcT_"), (shown{"f<int>", true}));  // char const* f<int>(int)
  EXPECT_EQ(show("_ZN12_GLOBAL__N_13fooEv"), (shown{"(anonymous namespace)::foo", false}));
  EXPECT_EQ(show("_ZlsRSoRK1a"), (shown{"operator<<", true}));
}

TEST(debug_names, display_shortens_lambdas) {
  EXPECT_EQ(show("_ZZ4mainENKUlvE_clEv"), (shown{"main::{lambda()#1}", false}));
  EXPECT_EQ(show("_ZZ4mainENKUliE0_clEi"), (shown{"main::{lambda(int)#2}", true}));
  EXPECT_EQ(show("_ZZN1a1bEvENKUlvE_clEv"), (shown{"a::b()::{lambda()#1}", false}));
  EXPECT_EQ(show("_ZZNK1a1bEvENKUlvE_clEv"), (shown{"a::b() const::{lambda()#1}", false}));
  EXPECT_EQ(show("main::{lambda}::operator()"), (shown{"main::{lambda}", false}));
  EXPECT_EQ(show("_ZZ4mainENK3$_0clEv"), (shown{"main::$_0", false}));
}

TEST(debug_names, display_leaves_other_names_alone) {
  EXPECT_EQ(show("main", true), (shown{"main", true}));
  EXPECT_EQ(show("main", false), (shown{"main", false}));
  EXPECT_EQ(show("_Znot_mangled"), (shown{"_Znot_mangled", false}));
  EXPECT_EQ(show(""), (shown{"", false}));
}

TEST(debug_names, owners) {
  const std::string program = "/home/me/program";
  const auto in_program = [&](std::string_view f) { return owner_of(f, program); };
  EXPECT_EQ(in_program("main"), owner::user);
  EXPECT_EQ(in_program("_Z6workeri"), owner::user);
  EXPECT_EQ(in_program("_ZN11runnel_test4callEv"), owner::user);
  EXPECT_EQ(in_program("_ZN4mine6runnel1fEv"), owner::user);
  // A user's lambda as a template argument does not make a library function the user's.
  EXPECT_EQ(in_program("_ZN6runnel6detail5spawnIZ4mainEUlvE_EEvOT_"), owner::innards);
  EXPECT_EQ(in_program("_ZZN6runnel6detail5spawnIZ4mainEUlvE_EEvOT_ENKUlPvE_clES5_"),
            owner::innards);
  EXPECT_EQ(in_program("_ZZ4mainENKUlvE_clEv"), owner::user);
  EXPECT_EQ(in_program("_ZNK6runnel4chanIiE4recvEv"), owner::api);
  EXPECT_EQ(in_program("_ZN6runnel7runtime4parkEv"), owner::innards);
  EXPECT_EQ(in_program("runnel_goroutine_entry"), owner::innards);
  EXPECT_EQ(in_program("runnel::detail::spawn<main::{lambda}>"), owner::innards);
  EXPECT_EQ(in_program("runnel::go<main::{lambda}>"), owner::api);
  EXPECT_EQ(in_program("_ZSt13__invoke_implIvRZ4mainEUlvE_JEET_St14__invoke_otherOT0_DpOT1_"),
            owner::library);
  EXPECT_EQ(in_program("_ZNSt6vectorIiSaIiEE9push_backEOi"), owner::library);
  EXPECT_EQ(in_program("__cxa_throw"), owner::innards);
  EXPECT_EQ(in_program("_ZSt9terminatev"), owner::innards);
  EXPECT_EQ(owner_of("qsort", "/lib/x86_64-linux-gnu/libc.so.6"), owner::library);
  EXPECT_EQ(owner_of("clone3", "/lib/x86_64-linux-gnu/libc.so.6"), owner::innards);
  EXPECT_EQ(owner_of("qsort", "/opt/mylibc.so"), owner::user);
  // Without namespaces the source decides, with them it does not.
  EXPECT_EQ(owner_of("spawn<f()::<lambda()> >", program, "/usr/include/runnel/detail/spawn.hpp"),
            owner::innards);
  EXPECT_EQ(owner_of("go<f()::<lambda()> >", program, "/usr/include/runnel/go.hpp"), owner::api);
  EXPECT_EQ(owner_of("__invoke<f()::<lambda()>&>", program, "/usr/include/c++/12/bits/invoke.h"),
            owner::library);
  EXPECT_EQ(owner_of("{lambda}", program, "/home/me/runnel/main.cpp"), owner::user);
  EXPECT_EQ(owner_of("mine::f", program, "/usr/include/runnel/go.hpp"), owner::user);
}

TEST(debug_backtrace, keeps_both_ends) {
  backtrace trace;
  capture_at_depth(10, trace);
  EXPECT_EQ(trace.elided(), 0U);
  const std::size_t few = trace.total;
  ASSERT_GE(few, 11U);
  // The recursive calls have one address, the capturing one another.
  for (std::size_t i = 2; i <= 9; ++i) EXPECT_EQ(trace[i], trace[1]) << i;
  EXPECT_NE(trace[0], trace[1]);
  const std::uintptr_t outermost = trace[few - 1];

  capture_at_depth(300, trace);
  EXPECT_EQ(trace.total, few + 290);
  EXPECT_EQ(trace.size(), 2 * backtrace::half);
  EXPECT_EQ(trace.elided(), few + 290 - 2 * backtrace::half);
  EXPECT_EQ(trace[backtrace::half - 1], trace[1]);
  EXPECT_EQ(trace[trace.size() - 1], outermost);
  EXPECT_NE(trace[trace.size() - 1], trace[1]);
}

RUNNEL_TEST(debug_walk, ends_at_the_goroutine_s_entry) {
  backtrace trace;
  capture_at_depth(3, trace);
  ASSERT_LT(trace.total, backtrace::half);
  elf_symbols symbols;
  elf_symbols::found last;
  ASSERT_TRUE(symbols.find(trace[trace.total - 1], last));
  EXPECT_EQ(last.function, "runnel_goroutine_entry");
}

RUNNEL_TEST_BOTH(debug_walk, walks_parked_goroutines) {
  const runnel::chan<void> c;
  runnel::go({.name = "parked"}, [c] { park_at_depth(70, c); });
  const auto all = std::make_unique<census>();
  const snapshot* parked = nullptr;
  ASSERT_TRUE(runnel_test::eventually([&] {
    take_census(*all, {});
    parked = nullptr;
    for (std::size_t i = 0; i < all->goroutine_count; ++i) {
      if (all->goroutines[i].name() == "parked") parked = &all->goroutines[i];
    }
    return parked != nullptr && std::string_view(parked->state) == "chan receive" &&
           parked->has_stack;
  }));
  EXPECT_GT(parked->trace.total, 71U);
  elf_symbols symbols;
  elf_symbols::found frame;
  std::size_t recursive = 0;
  for (std::size_t i = 0; i < parked->trace.size(); ++i) {
    ASSERT_TRUE(symbols.find(parked->trace[i], frame));
    if (frame.function == "_Z13park_at_depthiRKN6runnel4chanIvEE") ++recursive;
  }
  EXPECT_EQ(recursive, 71U - std::min<std::size_t>(71U, parked->trace.elided()));
  ASSERT_TRUE(symbols.find(parked->trace[parked->trace.size() - 1], frame));
  EXPECT_EQ(frame.function, "runnel_goroutine_entry");
  c.send();
}

RUNNEL_TEST_BOTH(debug_fault_guard, survives_wild_reads) {
  runnel::run([] {});  // a runtime has started
  void* nowhere = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(nowhere, MAP_FAILED);
  struct probe {
    const volatile int* at;
    int steps;
  } p{static_cast<const volatile int*>(nowhere), 0};
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(run_guarded(
        [](void* argument) {
          probe& q = *static_cast<probe*>(argument);
          ++q.steps;
          static_cast<void>(*q.at);
          q.steps += 100;
        },
        &p));
  }
  EXPECT_EQ(p.steps, 3);
  EXPECT_TRUE(run_guarded([](void* argument) { ++*static_cast<int*>(argument); }, &p.steps));
  EXPECT_EQ(p.steps, 4);
  ::munmap(nowhere, 4096);
}

TEST(debug_report, headers) {
  snapshot s;
  s.what = snapshot::kind::goroutine;
  s.id = 4;
  s.state = "chan receive";
  s.has_stack = true;
  EXPECT_EQ(report_text(s), "goroutine 4 [chan receive]:\n");
  s.minutes = 2;
  EXPECT_EQ(report_text(s), "goroutine 4 [chan receive, 2 minutes]:\n");
  s.name_size = std::string_view("a name").copy(s.name_text.data(), s.name_text.size());
  EXPECT_EQ(report_text(s), "goroutine 4 \"a name\" [chan receive, 2 minutes]:\n");
  s.locked = true;
  EXPECT_EQ(report_text(s),
            "goroutine 4 \"a name\" [chan receive, 2 minutes, locked to thread]:\n");
  s = {};
  s.has_stack = true;
  s.what = snapshot::kind::main_thread;
  s.state = "select";
  EXPECT_EQ(report_text(s), "main thread [select]:\n");
  s.what = snapshot::kind::thread;
  s.id = 1234;
  EXPECT_EQ(report_text(s), "thread 1234 [select]:\n");
}

TEST(debug_report, stack_that_could_not_be_had) {
  snapshot s;
  s.what = snapshot::kind::goroutine;
  s.id = 9;
  EXPECT_EQ(report_text(s),
            "goroutine 9 [running]:\n\tgoroutine running on other thread; stack unavailable\n");
}

TEST(debug_report, empty_lines_between_and_counts_of_the_rest) {
  const auto all = std::make_unique<census>();
  all->goroutine_count = all->id_count = all->part_end = 2;
  all->goroutine_total = 12;
  for (std::size_t i = 0; i < 2; ++i) {
    all->goroutines[i].what = snapshot::kind::goroutine;
    all->goroutines[i].id = i + 1;
    all->goroutines[i].has_stack = true;
  }
  all->thread_count = all->thread_total = 2;
  all->threads[0].what = snapshot::kind::main_thread;
  all->threads[0].has_stack = true;
  all->threads[1].id = 77;
  all->threads[1].has_stack = true;
  EXPECT_EQ(text_of([&](sink& out) { report_writer(out, effort::quick).write(*all); }),
            "main thread [running]:\n\ngoroutine 1 [running]:\n\ngoroutine 2 [running]:\n\n"
            "...10 goroutines elided...\n\nthread 77 [running]:\n");
}

TEST(debug_report, shows_the_frames_of_the_caller) {
  snapshot s;
  capture_at_depth(2, s.trace);
  s.has_stack = true;
  const std::string text = report_text(s, effort::full);
  const std::string frame = "capture_at_depth(...)\n\t";
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(frame, at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 3U) << text;
  EXPECT_EQ(text.find("capture_here"), std::string::npos) << text;
}

TEST(debug_symbolize, knows_lines_and_inlined_calls) {
  bool lines_known = false;
#if defined(RUNNEL_HAVE_LIBDW) && RUNNEL_HAVE_LIBDW
  lines_known = libdw::load() != nullptr;
#endif
  backtrace trace;
  const int line = __LINE__ + 1;
  const auto inlined = [&]() __attribute__((always_inline)) { capture_at_depth(0, trace); };
  const int call = __LINE__ + 1;
  inlined();
  symbolizer symbols(effort::full);
  std::vector<std::string> frames;
  symbols.visit(
      trace[1],
      [](void* argument, const source_frame& f) {
        const std::string file(f.file.substr(f.file.rfind('/') + 1));
        static_cast<std::vector<std::string>*>(argument)->push_back(
            file + ":" + std::to_string(f.line) + (f.inlined ? " inlined" : ""));
      },
      &frames);
  const std::vector<std::string> expected{"debug_test.cpp:" + std::to_string(line) + " inlined",
                                          "debug_test.cpp:" + std::to_string(call)};
  EXPECT_EQ(frames, lines_known ? expected : std::vector<std::string>{":0"});
}

TEST(debug_symbolize, symbol_tables_know_functions_that_are_not_exported) {
  elf_symbols symbols;
  elf_symbols::found found;
  const auto pc = reinterpret_cast<std::uintptr_t>(&capture_at_depth);
  ASSERT_TRUE(symbols.find(pc + 1, found));
  EXPECT_EQ(found.function, "_Z16capture_at_depthiRN6runnel5debug9backtraceE");
  EXPECT_EQ(found.offset, 1U);
  EXPECT_NE(found.module.find("debug_test"), std::string_view::npos) << found.module;
  EXPECT_FALSE(symbols.find(16, found));
}
