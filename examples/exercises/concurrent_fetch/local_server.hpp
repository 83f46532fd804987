// A real HTTP server on a free port of this machine. GET /name/50 is answered after 50 ms.
//
// It runs on plain threads, as a server that is not ours would: nothing here knows about
// goroutines. A client that hangs up ends its connection's wait at once, so the destructor never
// waits for delays.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

class local_server {
 public:
  local_server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (listener_ < 0 || ::bind(listener_, any, size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, any, &size) != 0) {
      throw std::system_error(errno, std::generic_category(), "local_server");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_connections(); });
  }

  ~local_server() {
    ::shutdown(listener_, SHUT_RDWR);  // wakes accept
    acceptor_.join();
    for (std::thread& connection : connections_) connection.join();
    ::close(listener_);
  }

  local_server(const local_server&) = delete;
  local_server& operator=(const local_server&) = delete;

  std::uint16_t port() const { return port_; }
  int most_at_once() const { return most_at_once_; }

 private:
  void accept_connections() {
    for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      connections_.emplace_back([this, fd] {
        serve(fd);
        ::close(fd);
      });
    }
  }

  void serve(int fd) {
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos) {
      char buffer[1024];
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      request.append(buffer, static_cast<std::size_t>(n));
    }
    const std::string path = request.substr(4, request.find(' ', 4) - 4);

    const int busy = ++at_once_;
    for (int most = most_at_once_;
         most < busy && !most_at_once_.compare_exchange_weak(most, busy);) {
    }
    pollfd hang_up{fd, POLLRDHUP, 0};
    const bool abandoned = ::poll(&hang_up, 1, std::atoi(path.c_str() + path.rfind('/') + 1)) != 0;
    --at_once_;  // before the answer: its receiver starts the next request at once
    if (abandoned) return;

    const std::string body = "this is " + path + '\n';
    const std::string response =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body;
    ::send(fd, response.data(), response.size(), MSG_NOSIGNAL);
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> at_once_ = 0, most_at_once_ = 0;
  std::vector<std::thread> connections_;  // grown by the acceptor alone, read after it has ended
  std::thread acceptor_;
};
