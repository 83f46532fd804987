#include <runnel/detail/wait_reason.hpp>

namespace runnel::detail {

const char* text(wait_reason reason) noexcept {
  // A switch without a default: the compiler tells when a new reason has no words.
  switch (reason) {
    case wait_reason::none:
      return "waiting";
    case wait_reason::chan_receive:
      return "chan receive";
    case wait_reason::chan_send:
      return "chan send";
    case wait_reason::chan_receive_nil:
      return "chan receive (nil chan)";
    case wait_reason::chan_send_nil:
      return "chan send (nil chan)";
    case wait_reason::select:
      return "select";
    case wait_reason::select_no_cases:
      return "select (no cases)";
    case wait_reason::mutex_lock:
      return "sync.Mutex.Lock";
    case wait_reason::shared_mutex_lock:
      return "sync.RWMutex.Lock";
    case wait_reason::shared_mutex_rlock:
      return "sync.RWMutex.RLock";
    case wait_reason::wait_group_wait:
      return "sync.WaitGroup.Wait";
    case wait_reason::cond_wait:
      return "sync.Cond.Wait";
    case wait_reason::semacquire:
      return "semacquire";
    case wait_reason::sleep:
      return "sleep";
    case wait_reason::io_wait:
      return "IO wait";
    case wait_reason::latch:
      return "latch";
    case wait_reason::barrier:
      return "barrier";
    case wait_reason::future:
      return "future";
    case wait_reason::once:
      return "once";
    case wait_reason::blocking:
      return "blocking";
  }
  return "waiting";
}

}  // namespace runnel::detail
