// What cannot be sent, received or called does not compile.
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <string>

int main() {
  const runnel::chan<std::unique_ptr<int>> c(1);
  const runnel::chan<void> v(1);
  auto p = std::make_unique<int>(1);
  (void)c.try_send(std::move(p));
  v.send();

#if RUNNEL_CASE == 1  // deleted
  c.send(p);
#endif
#if RUNNEL_CASE == 2  // deleted|no matching|constraint|cannot bind
  (void)c.try_send(p);
#endif
#if RUNNEL_CASE == 3  // too many arguments|no matching|candidate
  v.send(1);
#endif
#if RUNNEL_CASE == 4  // no viable|no matching|conversion|could not convert|cannot convert
  const runnel::chan<int> i(1);
  i.send(std::string());
#endif
#if RUNNEL_CASE == 5  // no viable|conversion
  const runnel::chan<int> implicit = 5;
#endif
#if RUNNEL_CASE == 6  // no match|invalid operands
  return c == v ? 1 : 0;
#endif
#if RUNNEL_CASE == 7  // no matching|constraint|invoke|static assertion
  runnel::go([](int) {});
#endif
#if RUNNEL_CASE == 8  // no matching|constraint|invoke|static assertion
  runnel::go([](int&) {}, 1);
#endif
#if RUNNEL_CASE == 9  // no matching|constraint|static assertion|convert
  runnel::select(runnel::on_recv(v, [](int) {}));
#endif
#if RUNNEL_CASE == 10  // no viable|conversion|cannot convert
  const bool truth = c;
#endif
  struct no_default {
    explicit no_default(int) {}
  };
  const runnel::chan<no_default> n(1);
#if RUNNEL_CASE == 11  // yields T\{\}: take a std::optional<T> where T has no default
  runnel::select(runnel::on_recv(n, [](no_default) {}));
#endif
#if RUNNEL_CASE == 12  // yields T\{\}: take a std::optional<T> where T has no default
  no_default out(1);
  runnel::select(runnel::on_recv(n, out));
#endif
#if RUNNEL_CASE == 13  // the handler of on_recv takes a T, a std::optional<T> or nothing
  runnel::select(runnel::on_recv(n, [](std::string) {}));
#endif
}
