// Doing the same thing only once at a time.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/goexit_text.hpp>
#include <runnel/detail/spawn.hpp>
#include <runnel/future.hpp>
#include <runnel/go.hpp>
#include <runnel/sync/latch.hpp>
#include <runnel/sync/mutex.hpp>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace runnel {

/// Suppresses duplicate work: of the calls for a key that come while one is at work, only that one
/// works, and all get its result. Go: x/sync/singleflight. It can be neither copied nor moved. It
/// must live until every do_once has returned and every future of do_chan is ready.
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

  /// As do_once, but f runs on a goroutine of its own and the result comes by a future, which a
  /// select can wait for: the wait may end with a context while the work goes on.
  ///
  ///     auto page = flight.do_chan(url, [url] { return fetch(url); });
  ///     runnel::select(on_ready(page, use), on_done(ctx));
  ///
  /// Never waits for f. What leaves f is thrown by get(); for goexit that is
  /// panic("goexit called in a goroutine that was waited for"). Throws std::bad_alloc and what
  /// copying the key throws; then no work was begun. Go: DoChan.
  template <class F>
  shared_future<V> do_chan(const K& key, F&& f) {
    static_assert(std::is_invocable_v<std::decay_t<F>&>,
                  "singleflight::do_chan takes a callable f()");
    const std::lock_guard lock(mutex_);
    if (const auto found = calls_.find(key); found != calls_.end()) return found->second->future();
    const auto c = std::make_shared<call>();
    shared_future<V> result = c->future();
    const auto place = calls_.emplace(key, c).first;
    try {
      detail::spawn(job<std::decay_t<F>>(*this, key, c, std::forward<F>(f)));
    } catch (...) {
      calls_.erase(place);
      throw;
    }
    return result;
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
    // What do_chan returned, if it was called; guarded by mutex_ while others may find the call.
    std::optional<promise<V>> announced;
    shared_future<V> announcement;

    shared_future<V> future() {
      if (!announced.has_value()) {
        announced.emplace();
        announcement = announced->get_future().share();
      }
      return announcement;
    }
    void announce() noexcept {
      if (!announced.has_value()) return;
      try {
        if (error != nullptr) {
          announced->set_exception(error);
        } else if (!value.has_value()) {
          announced->set_exception(std::make_exception_ptr(panic(detail::goexit_text)));
        } else if constexpr (std::is_void_v<V>) {
          announced->set_value();
        } else {
          announced->set_value(*value);
        }
      } catch (...) {
        announced->set_exception(std::current_exception());
      }
    }
    V result() {
      if (error != nullptr) std::rethrow_exception(error);
      if (!value.has_value()) goexit();
      if constexpr (!std::is_void_v<V>) return *value;
    }
  };

  /// What do_chan starts. What f holds is gone before the result is announced.
  template <class F>
  class job {
   public:
    template <class G>
    job(singleflight& flight, const K& key, std::shared_ptr<call> c, G&& f)
        : flight_(&flight), key_(key), call_(std::move(c)), f_(std::in_place, std::forward<G>(f)) {}
    job(job&& other) noexcept(
        std::is_nothrow_move_constructible_v<F>&& std::is_nothrow_move_constructible_v<K>)
        : flight_(other.flight_),
          key_(std::move(other.key_)),
          call_(std::move(other.call_)),
          f_(std::move(other.f_)) {}
    void operator()() {
      const auto work = [this]() -> V {
        struct drop {
          std::optional<F>& f;
          ~drop() { f.reset(); }
        } at_end{f_};
        if constexpr (std::is_void_v<V>) {
          std::invoke(*f_);
        } else {
          return std::invoke(*f_);
        }
      };
      flight_->perform(key_, *call_, work);
    }

   private:
    singleflight* flight_;
    K key_;
    std::shared_ptr<call> call_;
    std::optional<F> f_;
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
        // *self may be gone as soon as anybody learns of the end.
        c.announce();
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
