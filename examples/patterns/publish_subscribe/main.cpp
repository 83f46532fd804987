// Publish and subscribe: each subscriber has a channel of its own, and a slow one misses, never
// blocks.
#include <cstddef>
#include <iostream>
#include <mutex>
#include <runnel/runnel.hpp>
#include <string>
#include <string_view>
#include <vector>

template <class T>
class broker {
 public:
  // Room is what the subscriber may fall behind before it begins to miss.
  runnel::recv_chan<T> subscribe(std::size_t room) {
    const std::lock_guard lock(mutex_);
    return subscribers_.emplace_back(room);
  }

  // Never blocks, so that one slow subscriber holds up neither the publisher nor the others.
  void publish(const T& value) {
    const std::lock_guard lock(mutex_);
    for (const runnel::chan<T>& subscriber : subscribers_) {
      if (subscriber.try_send(value) == runnel::chan_status::would_block) ++missed_;
    }
  }

  // Subscribers still receive what they have room for, then their loops end.
  int close() {
    const std::lock_guard lock(mutex_);
    for (const runnel::chan<T>& subscriber : subscribers_) subscriber.close();
    subscribers_.clear();
    return missed_;
  }

 private:
  runnel::mutex mutex_;
  std::vector<runnel::chan<T>> subscribers_;
  int missed_ = 0;
};

void print(std::string_view name, const runnel::recv_chan<std::string>& news) {
  std::cout << name << ':';
  for (const std::string& item : news) std::cout << ' ' << item;
  std::cout << '\n';
}

int main() {
  broker<std::string> news;
  const auto anna = news.subscribe(8), bert = news.subscribe(2);
  for (const char* item : {"one", "two", "three"}) news.publish(item);
  const auto cleo = news.subscribe(8);
  for (const char* item : {"four", "five"}) news.publish(item);
  const int missed = news.close();

  print("anna", anna);
  print("bert, room for two", bert);
  print("cleo, came late", cleo);
  std::cout << "missed: " << missed << '\n';
}
