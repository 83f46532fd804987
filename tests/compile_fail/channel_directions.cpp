// The wrong direction of a channel does not compile: Go's test/chan/perm.go.
#include <runnel/chan.hpp>
#include <runnel/select.hpp>

int main() {
  runnel::chan<int> c(1);
  runnel::send_chan<int> in = c;
  runnel::recv_chan<int> out = c;
  int n = 0;

  // What is allowed, so that the cases fail by themselves.
  in.send(1);
  (void)out.recv();
  runnel::select(runnel::on_send(in, 1), runnel::otherwise());
  runnel::select(runnel::on_recv(out, n), runnel::otherwise());

#if RUNNEL_CASE == 1  // no member named 'recv'|has no member named .recv
  (void)in.recv();
#endif
#if RUNNEL_CASE == 2  // no member named 'send'|has no member named .send
  out.send(1);
#endif
#if RUNNEL_CASE == 3  // no member named 'close'|has no member named .close
  out.close();
#endif
#if RUNNEL_CASE == 4  // no member named 'try_recv'|has no member named .try_recv
  (void)in.try_recv(n);
#endif
#if RUNNEL_CASE == 5  // no member named 'try_send'|has no member named .try_send
  (void)out.try_send(1);
#endif
#if RUNNEL_CASE == 6  // invalid range expression|no viable|begin
  for (int v : in) n += v;
#endif
#if RUNNEL_CASE == 7  // no viable|conversion
  c = in;
#endif
#if RUNNEL_CASE == 8  // no viable|conversion
  c = out;
#endif
#if RUNNEL_CASE == 9  // no viable|conversion
  in = out;
#endif
#if RUNNEL_CASE == 10  // no viable|conversion
  out = in;
#endif
#if RUNNEL_CASE == 11  // no matching function|constraint
  runnel::select(runnel::on_recv(in, n));
#endif
#if RUNNEL_CASE == 12  // no matching function|constraint
  runnel::select(runnel::on_send(out, 1));
#endif
#if RUNNEL_CASE == 13  // no viable|conversion
  const runnel::chan<int> back = in;
#endif
#if RUNNEL_CASE == 14  // no viable|conversion
  const runnel::recv_chan<long> other = c;
#endif
  return n;
}
