// Exercise: five jobs, three workers, each result doubled, and a graceful close.
#include <iostream>
#include <map>
#include <runnel/runnel.hpp>

struct result {
  int job;
  int doubled;
};

// Ends by itself when the jobs are closed and drained: nothing it has taken is lost.
void worker(runnel::recv_chan<int> jobs, runnel::send_chan<result> results) {
  for (int job : jobs) results.send({job, job * 2});
}

int main() {
  runnel::leak_check leaks;
  constexpr int job_count = 5, worker_count = 3;
  const runnel::chan<int> jobs(job_count);
  const runnel::chan<result> results(job_count);

  runnel::wait_group workers;
  for (int w = 0; w < worker_count; ++w) workers.go([=] { worker(jobs, results); });

  for (int job = 1; job <= job_count; ++job) jobs.send(job);
  jobs.close();     // no more jobs: the workers finish what is there and return
  workers.wait();   // no more results: each worker has sent its last
  results.close();  // so nobody can send any more, and the loop below ends

  std::map<int, int> doubled;  // by job: which worker is done first is chance
  for (const auto& [job, value] : results) doubled[job] = value;
  for (const auto& [job, value] : doubled) std::cout << "job " << job << " -> " << value << '\n';
  std::cout << doubled.size() << " jobs done, workers left: " << leaks.leaked() << '\n';
}
