// Doing the same thing only once at a time.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/go.hpp>
#include <runnel/sync/latch.hpp>
#include <runnel/sync/mutex.hpp>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace runnel {

/// Suppresses duplicate work: of the calls for a key that come while one is at work, only that one
/// works, and all get its result. Go: x/sync/singleflight. It can be neither copied nor moved.
///
/// Synchronizes: the end of f → the return of every call that gets its result.
template <class K, class V, class Hash = std::hash<K>>
class singleflight {
 public:
  singleflight() = default;
  singleflight(const singleflight&) = delete;
  singleflight& operator=(const singleflight&) = delete;

  /// Returns f(), or, if another call for the key is in its f, waits for that one and returns a
  /// copy of its value. An exception that leaves f is rethrown by all; if f ends its goroutine by
  /// goexit, those who wait end theirs. f must not call do_once for the same key: it would wait for
  /// itself. Throws std::bad_alloc.
  template <class F>
  V do_once(const K& key, F&& f) {
    std::unique_lock lock(mutex_);
    if (const auto found = calls_.find(key); found != calls_.end()) {
      const std::shared_ptr<call> c = found->second;
      lock.unlock();
      c->finished.wait();
      return c->result();
    }
    const auto c = std::make_shared<call>();
    calls_.emplace(key, c);
    lock.unlock();
    perform(key, *c, f);
    return c->result();
  }

  /// Lets the next call for the key do its own work, even if one is at work now.
  void forget(const K& key) {
    const std::lock_guard lock(mutex_);
    calls_.erase(key);
  }

 private:
  struct call {
    latch finished{1};
    // Written before `finished` opens.
    std::conditional_t<std::is_void_v<V>, std::optional<bool>,
                       std::optional<std::conditional_t<std::is_void_v<V>, bool, V>>>
        value;
    std::exception_ptr error;

    V result() {
      if (error != nullptr) std::rethrow_exception(error);
      if (!value.has_value()) goexit();
      if constexpr (!std::is_void_v<V>) return *value;
    }
  };

  template <class F>
  void perform(const K& key, call& c, F& f) {
    struct finish {
      singleflight* self;
      const K& key;
      call& c;
      ~finish() {
        {
          const std::lock_guard lock(self->mutex_);
          // After a forget() the key may be another call's.
          const auto found = self->calls_.find(key);
          if (found != self->calls_.end() && found->second.get() == &c) self->calls_.erase(found);
        }
        c.finished.count_down();
      }
    } at_end{this, key, c};
    try {
      if constexpr (std::is_void_v<V>) {
        std::invoke(f);
        c.value.emplace(true);
      } else {
        c.value.emplace(std::invoke(f));
      }
    } catch (...) {
      if (detail::caught_goexit()) throw;  // neither value nor error tells the others
      c.error = std::current_exception();
    }
  }

  mutex mutex_;
  std::unordered_map<K, std::shared_ptr<call>, Hash> calls_;  // guarded by mutex_: those at work
};

}  // namespace runnel
