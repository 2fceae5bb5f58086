// The benchmarks: tables and JSON on standard output, the JSON also in a file (--json).
#include <fmt/core.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>

#include "bench/bench.h"
#include "build_commit.h"

namespace retort {
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}
}  // namespace retort

int main(int argc, char** argv) {
  using namespace retort;
  std::string path, only, device = "cpu", work, folder;
  double seconds = 30;
  CLI::App app("Training step and kernels against the machine's limits");
  app.add_option("--json", path, "File for the results");
  app.add_option("--only", only, "Part of a configuration's or a kernel's name");
  app.add_option("--seconds", seconds, "For each configuration")->capture_default_str();
  app.add_option("--device", device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--work", work, "Serve this piece of work to bench/compare.py");
  app.add_option("--folder", folder, "For what peers read of it")->needs("--work");
  CLI11_PARSE(app, argc, argv);
  if (!work.empty()) {
    std::string names;
    for (auto list : {step_works, loss_works, inference_works, attention_works, machine_works})
      for (const Work& w : list()) {
        if (w.name == work) return serve(w, folder), 0;
        names += " " + w.name;
      }
    fmt::print(stderr, "no work \"{}\"; there are:{}\n", work, names);
    return 1;
  }
  Device where = device == "cuda" ? Device::cuda : Device::cpu;
  if (std::string missing = cuda_missing(); where == Device::cuda && !missing.empty()) {
    fmt::print(stderr, "device cuda: {}\n", missing);
    return 1;
  }
  Json out = {{"commit", RETORT_COMMIT}, {"device", device}, {"threads", omp_get_max_threads()}};
  out["rows"] = bench_steps(where, only, seconds);
  if (where == Device::cpu) out["growth"] = bench_growth(only);
  out["kernels"] = bench_kernels(where, only, seconds / 30);
  fmt::print("\n{}\n", out.dump(2));
  if (!path.empty()) std::ofstream(path) << out.dump(2) << "\n";
}
