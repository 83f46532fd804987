// Snapshots as text, in Go's format:
//
//   goroutine 7 "name" [chan receive, 2 minutes]:
//   worker(...)
//   <tab>/home/me/main.cpp:12 +0x1f
//   created by main in goroutine 1
//   <tab>/home/me/main.cpp:30 +0x8c
//
// Frames of the library's own innards are left out, as Go leaves out its runtime's; with
// RUNNEL_DEBUG=traceback=all they are shown. Inlined calls have lines of their own, without an
// offset.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "debug/names.hpp"
#include "debug/sink.hpp"
#include "debug/snapshot.hpp"
#include "debug/symbolize.hpp"

namespace runnel::debug {

/// RUNNEL_DEBUG has traceback=all.
bool traceback_all() noexcept;

/// A source-level frame as it is shown.
struct shown_frame {
  owner whose = owner::user;
  std::string name;  // empty: unknown
  bool has_parameters = false;
  std::string place;  // file:line, else the module
  std::uintptr_t offset = 0;
  bool inlined = false;
};

class report_writer {
 public:
  /// `quick` allocates nothing and neither filters nor demangles.
  report_writer(sink& out, effort how) noexcept : out_(out), how_(how), symbols_(how) {}

  void write(const snapshot& s);
  /// A part of a census, with an empty line between two; every part once, in order.
  void write(const census& part);

 private:
  const std::vector<shown_frame>& frames_at(std::uintptr_t pc);
  void write_header(const snapshot& s);
  void write_frames(const backtrace& trace);
  void write_creator(const snapshot& s);
  void write_quick_frame(std::uintptr_t pc);
  void write_frame(const shown_frame& f);

  sink& out_;
  effort how_;
  symbolizer symbols_;
  // Goroutines that do the same have the same frames.
  std::map<std::uintptr_t, std::vector<shown_frame>> known_;
  bool first_ = true;
};

}  // namespace runnel::debug
