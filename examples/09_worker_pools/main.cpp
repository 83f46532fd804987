// Worker pools: a few goroutines share many jobs, so that no more than a few are worked on at once.
#include <algorithm>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>
#include <vector>

void print(std::string_view title, std::vector<int> numbers) {
  std::sort(numbers.begin(), numbers.end());  // who is done first is nobody's promise
  std::cout << title;
  for (int number : numbers) std::cout << ' ' << number;
  std::cout << '\n';
}

// Jobs are closed by who sends them, results by who knows that every worker is done.
void by_hand() {
  runnel::chan<int> jobs, results;
  runnel::wait_group workers;
  for (int w = 0; w < 3; ++w) {
    workers.go([=] {
      for (int job : jobs) results.send(job * job);
    });
  }
  runnel::go([=] {
    for (int job = 1; job <= 9; ++job) jobs.send(job);
    jobs.close();
  });
  runnel::go([&workers, results] {
    workers.wait();
    results.close();
  });
  print("by hand:", runnel::collect(results));
}

// The same as an object: submit returns a future, close lets the queue run empty.
void by_the_library() {
  runnel::worker_pool pool(3);
  std::vector<runnel::future<int>> futures;
  for (int job = 1; job <= 9; ++job) {
    futures.push_back(pool.submit([job] { return job * job; }));
  }
  std::vector<int> results;
  for (auto& future : futures) results.push_back(future.get());
  print("by worker_pool:", results);
}

// The mistake: waiting for the workers before anyone receives what they send.
void wait_before_receiving() {
  runnel::chan<int> jobs(9), results;
  for (int job = 1; job <= 9; ++job) jobs.send(job);
  jobs.close();
  runnel::wait_group workers;
  for (int w = 0; w < 3; ++w) {
    workers.go([=] {
      for (int job : jobs) results.send(job * job);
    });
  }
  workers.wait();
  results.close();
  print("never:", runnel::collect(results));
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) wait_before_receiving();
  by_hand();
  by_the_library();
}
