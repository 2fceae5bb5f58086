// One side of a comparison, as a process that a comparing program asks for runs.
#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "bench/bench.h"
#include "engine/memory.h"
#include "engine/safetensors.h"
#include "models/published.h"

namespace retort {
namespace {

// Bytes of a line of /proc/self/status: VmRSS, resident now; VmHWM, the most since the last
// restart_peak().
double status_bytes(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.rfind(key + ":", 0) == 0) return 1024 * std::stod(line.substr(key.size() + 1));
  return 0;
}
void restart_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace

void serve(const Work& work, const std::string& folder) {
  std::filesystem::create_directories(folder);
  double start = status_bytes("VmRSS");
  auto run = work.prepare(folder);
  empty_cache(Device::cpu);  // what was needed to write files
  double inputs = status_bytes("VmRSS");
  restart_peak();
  save_safetensors(folder + "/retort.safetensors", run());
  double most = status_bytes("VmHWM");
  fmt::print(
      "{}\n",
      Json{{"ready", work.name}, {"peak_bytes", most - start}, {"working_bytes", most - inputs}}
          .dump());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line) && line == "run";) {
    double begin = now();
    run();
    fmt::print("{}\n", Json{{"seconds", now() - begin}}.dump());
    std::fflush(stdout);
  }
}

Tensor random_normal(Shape shape, uint64_t seed, double std) {
  Parameters p(seed);
  return p.add("x", shape, std).detach();
}

Tensor random_ids(Shape shape, uint64_t seed, int vocab) {
  size_t n = 1;
  for (int d : shape) n *= size_t(d);
  std::vector<int> ids(n);
  for (size_t i = 0; i < n; i++) ids[i] = int(uniform({seed}, 0, uint32_t(i)) * float(vocab));
  return Tensor::from(ids, shape);
}

void publish(const Model& model, const std::string& family, Json config,
             const std::string& folder) {
  std::filesystem::create_directories(folder);
  config["model_type"] = family;
  std::ofstream(folder + "/config.json") << config.dump(2) << "\n";
  save_safetensors(folder + "/model.safetensors",
                   to_published(model.config(), family, model.parameters().values()),
                   {{"format", "pt"}});
}

}  // namespace retort
