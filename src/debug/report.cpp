#include "debug/report.hpp"

#include <cstdlib>
#include <string>
#include <vector>

#include "debug/names.hpp"

namespace runnel::debug {

bool traceback_all() noexcept {
  const char* value = std::getenv("RUNNEL_DEBUG");
  std::string_view rest = value != nullptr ? value : "";
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (rest.substr(0, comma) == "traceback=all") return true;
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  return false;
}

namespace {

void add_frame(void* argument, const source_frame& f) {
  shown_frame s;
  s.whose = owner_of(f.function, f.module, f.file);
  s.has_parameters = f.has_parameters;
  s.name = display_name(f.function, s.has_parameters);
  if (!f.file.empty()) {
    s.place.append(f.file).append(":").append(std::to_string(f.line));
  } else {
    s.place = f.module;
  }
  s.offset = f.offset;
  s.inlined = f.inlined;
  static_cast<std::vector<shown_frame>*>(argument)->push_back(std::move(s));
}

bool has(const std::vector<shown_frame>& frames, owner whose) {
  for (const shown_frame& f : frames) {
    if (f.whose == whose) return true;
  }
  return false;
}

// Decides which of the library owner's frames were called by hidden ones: those are hidden too. Of
// the frame before `gap` (0: there is none) the caller is not known.
void settle(std::vector<shown_frame>& frames, std::size_t gap) {
  owner caller = owner::innards;  // of the outermost frame: whatever started the thread
  for (std::size_t i = frames.size(); i-- > 0;) {
    owner& o = frames[i].whose;
    if (i + 1 == gap) caller = owner::user;
    if (o == owner::library) o = caller == owner::user ? owner::user : owner::innards;
    caller = o;
  }
}

}  // namespace

const std::vector<shown_frame>& report_writer::frames_at(std::uintptr_t pc) {
  const auto [at, is_new] = known_.try_emplace(pc);
  if (is_new) symbols_.visit(pc, &add_frame, &at->second);
  return at->second;
}

void report_writer::write_header(const snapshot& s) {
  switch (s.what) {
    case snapshot::kind::goroutine:
      out_.put("goroutine ").put_dec(s.id);
      if (s.name_size > 0) out_.put(" \"").put(s.name()).put("\"");
      break;
    case snapshot::kind::main_thread:
      out_.put("main thread");
      break;
    case snapshot::kind::thread:
      out_.put("thread ").put_dec(s.id);
      break;
  }
  out_.put(" [").put(s.state);
  if (s.minutes > 0) out_.put(", ").put_dec(static_cast<std::uint64_t>(s.minutes)).put(" minutes");
  if (s.locked) out_.put(", locked to thread");
  out_.put("]:\n");
}

void report_writer::write_quick_frame(std::uintptr_t pc) {
  symbols_.visit(
      pc,
      [](void* argument, const source_frame& f) {
        sink& out = *static_cast<sink*>(argument);
        out.put(f.function.empty() ? "??" : f.function).put("(...)\n\t");
        out.put(f.module.empty() ? "??" : f.module).put(" +").put_hex(f.offset).put("\n");
      },
      &out_);
}

void report_writer::write_frame(const shown_frame& f) {
  out_.put(f.name.empty() ? "??" : f.name).put(f.has_parameters || f.name.empty() ? "(...)" : "()");
  out_.put("\n\t").put(f.place.empty() ? "??" : f.place);
  if (!f.inlined) out_.put(" +").put_hex(f.offset);
  out_.put("\n");
}

void report_writer::write_frames(const backtrace& trace) {
  const auto write_gap = [&] {
    out_.put("...").put_dec(trace.elided()).put(" frames elided...\n");
  };
  if (how_ == effort::quick) {
    for (std::size_t i = 0; i < trace.size(); ++i) {
      if (i == backtrace::half && trace.elided() > 0) write_gap();
      write_quick_frame(trace[i]);
    }
    return;
  }
  std::vector<shown_frame> frames;
  std::size_t gap = 0;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    if (i == backtrace::half && trace.elided() > 0) gap = frames.size();
    const std::vector<shown_frame>& some = frames_at(trace[i]);
    frames.insert(frames.end(), some.begin(), some.end());
  }
  settle(frames, gap);
  // A goroutine that the library itself started may have no user frame: then its own are shown.
  const bool all = traceback_all();
  const bool user = has(frames, owner::user);
  const bool api = !user && has(frames, owner::api);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (i == gap && gap > 0) write_gap();
    const owner o = frames[i].whose;
    if (all || o == owner::user || (o == owner::api && !user) || (!user && !api)) {
      write_frame(frames[i]);
    }
  }
}

void report_writer::write_creator(const snapshot& s) {
  if (s.site == nullptr) return;
  const auto pc = reinterpret_cast<std::uintptr_t>(s.site);
  out_.put("created by ");
  std::vector<shown_frame> frames;
  if (how_ == effort::full) frames = frames_at(pc);
  // The place lies in the library's templates, inlined, one hopes, into the function that said
  // `go`.
  const shown_frame* shown = nullptr;
  for (owner wanted : {owner::user, owner::api, owner::innards}) {
    for (const shown_frame& f : frames) {
      if (shown == nullptr && f.whose == wanted) shown = &f;
    }
  }
  out_.put(shown == nullptr || shown->name.empty() ? "??" : shown->name);
  if (s.parent_id != 0) out_.put(" in goroutine ").put_dec(s.parent_id);
  out_.put("\n\t");
  if (shown == nullptr) {
    out_.put_hex(pc);
  } else {
    out_.put(shown->place);
    if (!shown->inlined) out_.put(" +").put_hex(shown->offset);
  }
  out_.put("\n");
}

void report_writer::write(const snapshot& s) {
  if (!first_) out_.put("\n");
  first_ = false;
  write_header(s);
  if (s.has_stack) {
    write_frames(s.trace);
  } else if (s.what == snapshot::kind::goroutine) {
    out_.put("\tgoroutine running on other thread; stack unavailable\n");
  } else {
    out_.put("\tstack unavailable\n");
  }
  write_creator(s);
}

void report_writer::write(const census& part) {
  const auto elided = [&](std::uint64_t n, const char* what) {
    if (n > 0) out_.put("\n...").put_dec(n).put(what).put(" elided...\n");
  };
  const std::size_t main =
      part.thread_count > 0 && part.threads[0].what == snapshot::kind::main_thread ? 1 : 0;
  if (main != 0 && part.is_first_part()) write(part.threads[0]);
  for (std::size_t i = 0; i < part.goroutine_count; ++i) write(part.goroutines[i]);
  if (!part.is_last_part()) return;
  elided(part.goroutine_total - part.id_count, " goroutines");
  for (std::size_t i = main; i < part.thread_count; ++i) write(part.threads[i]);
  elided(part.thread_total - part.thread_count, " threads");
}

}  // namespace runnel::debug
