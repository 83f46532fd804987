// Exercise: fetch URLs, at most two at once, all within 500 ms; say which succeeded and leak
// nothing.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <runnel/runnel.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "local_server.hpp"

using namespace std::chrono_literals;

class connection {
 public:
  explicit connection(std::uint16_t port)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), port_(port) {
    if (fd_ < 0) fail("socket");
  }
  ~connection() { ::close(fd_); }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // From any thread: whatever the connection is blocked in returns.
  void interrupt() const { ::shutdown(fd_, SHUT_RDWR); }

  // Blocks the calling thread. The server closes after its answer, so the end of the stream is the
  // end.
  std::string exchange(const std::string& request) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
    if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) < 0) fail("send");
    std::string response;
    for (char buffer[4096];;) {
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n < 0) fail("recv");
      if (n == 0) return response;
      response.append(buffer, static_cast<std::size_t>(n));
    }
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
  }

  int fd_;
  std::uint16_t port_;
};

// The connection is shared with the function that runs when ctx ends: whoever is last closes it, so
// interrupt never meets a descriptor that has been given to somebody else.
std::string fetch(const runnel::context& ctx, std::uint16_t port, const std::string& path) {
  if (ctx.err()) throw std::system_error(ctx.err());
  const auto server = std::make_shared<connection>(port);
  auto stop = runnel::after_func(ctx, [server] { server->interrupt(); });
  const runnel::defer no_longer{[&] { stop(); }};
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string response = runnel::blocking([&] { return server->exchange(request); });
  if (ctx.err()) throw std::system_error(ctx.err());  // what has arrived may be half of it
  return response;
}

std::string describe(const runnel::context& ctx, std::uint16_t port, const std::string& path) try {
  const std::string response = fetch(ctx, port, path);
  const std::size_t body = response.size() - (response.find("\r\n\r\n") + 4);
  return "ok       " + path + ": " + response.substr(9, 3) + ", " + std::to_string(body) + " bytes";
} catch (const std::system_error& error) {
  const bool late = ctx.err() == runnel::errc::deadline_exceeded;
  return (late ? "time-out " : "failed   ") + path + ": " +
         (late ? ctx.err().message() : error.what());
}

int main() {
  const std::vector<std::string> paths = {"/quick/10", "/brisk/20",   "/stuck/60000",
                                          "/slow/30",  "/hung/60000", "/starved/10"};
  runnel::leak_check leaks;
  local_server server;
  {
    auto [ctx, cancel] = runnel::with_timeout(runnel::background(), 500ms);
    std::vector<std::string> lines(paths.size());
    runnel::errgroup group;
    group.set_limit(2);  // go waits until one of the two has ended: the paths start in order
    for (std::size_t i = 0; i < paths.size(); ++i) {
      group.go([&, ctx = ctx, i] { lines[i] = describe(ctx, server.port(), paths[i]); });
    }
    group.wait();
    for (const std::string& line : lines) std::cout << line << '\n';
  }
  std::cout << "at most two at once: " << std::boolalpha << (server.most_at_once() <= 2) << '\n';
  std::cout << "goroutines left: " << leaks.leaked() << '\n';
}
