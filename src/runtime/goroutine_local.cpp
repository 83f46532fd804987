// A list, newest first, searched linearly: a goroutine has few locals.
#include "runtime/goroutine_local.hpp"

#include <runnel/detail/goroutine_local.hpp>

#include "runtime/machine.hpp"

namespace runnel::detail {

struct local_slot {
  const void* key;
  void* value;
  void (*destroy)(void*);
  local_slot* older;
};

namespace {

local_slot*& own_list() {
  auto* m = static_cast<runtime::machine*>(attach_thread());
  return m->g != nullptr ? m->g->locals : m->locals;
}

}  // namespace

void* find_local(const void* key) noexcept {
  auto* m = static_cast<runtime::machine*>(current_thread());
  if (m == nullptr) return nullptr;
  local_slot* first = m->g != nullptr ? m->g->locals : m->locals;
  for (local_slot* s = first; s != nullptr; s = s->older) {
    if (s->key == key) return s->value;
  }
  return nullptr;
}

void add_local(const void* key, void* value, void (*destroy)(void*)) {
  local_slot*& first = own_list();
  first = new local_slot{key, value, destroy, first};
}

}  // namespace runnel::detail

namespace runnel::runtime {

void destroy_locals(detail::local_slot*& first) noexcept {
  while (first != nullptr) {
    detail::local_slot* s = first;
    first = s->older;
    s->destroy(s->value);
    delete s;
  }
}

}  // namespace runnel::runtime
