// Channels: a send waits for its receiver, and close says that nothing more will come.
#include <iostream>
#include <runnel/runnel.hpp>
#include <string>
#include <string_view>

struct request {
  int number;
  runnel::chan<int> reply;  // a channel is a value: it can be sent over a channel
};

void receive_until_closed() {
  runnel::chan<std::string> colours;
  runnel::go([colours] {  // a channel is a cheap handle: copies refer to the same channel
    for (const char* name : {"red", "green", "blue"}) colours.send(name);
    colours.close();
  });

  std::cout << "first: " << *colours.recv() << '\n';
  for (const std::string& colour : colours) std::cout << "then: " << colour << '\n';
  std::cout << "after close: " << colours.recv().value_or("nothing") << '\n';
}

void ask_a_server() {
  runnel::chan<request> requests;
  runnel::chan<void> stopped;  // carries no value, only the news
  runnel::go([=] {
    for (const request& r : requests) r.reply.send(r.number * r.number);
    stopped.close();
  });

  const runnel::chan<int> reply;
  requests.send({7, reply});
  std::cout << "7 squared: " << *reply.recv() << '\n';
  requests.close();
  stopped.recv();
  std::cout << "server stopped\n";
}

// The mistake: nobody will ever receive, so the send waits for ever.
void send_to_nobody() { runnel::chan<int>().send(1); }

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) send_to_nobody();
  receive_until_closed();
  ask_a_server();
}
