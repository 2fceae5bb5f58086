// What the benchmarks share. The tables of kernels and steps against limits (bench/run) run on
// every device; the comparison with peers (bench/compare.py) on the CPU.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "models/model.h"

namespace retort {

using Json = nlohmann::json;

/// Seconds of a steady clock.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double median(std::vector<double> values);

/// The training step of the configurations whose name contains `only`, `seconds` for each.
Json bench_steps(Device device, const std::string& only, double seconds);
/// The first configuration's step on the CPU as one of length, vocabulary, batch, layers and
/// threads grows, each with the exponent of its time; nothing where "growth" does not contain
/// `only`.
Json bench_growth(const std::string& only);
/// Row kernels against a copy's bandwidth, attention against a product's rate: those whose name
/// contains `only`, about `seconds` for each.
Json bench_kernels(Device device, const std::string& only, double seconds);

/// What a run gives, for comparison with another program's: small tensors by name.
using Results = std::map<std::string, Tensor>;
/// A piece of work that peers do as well. `prepare` makes its inputs, from nothing but its name,
/// writes what the peers need of them into `folder`, and returns what is timed.
struct Work {
  std::string name;
  std::function<std::function<Results()>(const std::string& folder)> prepare;
};
std::vector<Work> step_works();       // bench/step.cpp
std::vector<Work> loss_works();       // bench/losses.cpp
std::vector<Work> inference_works();  // bench/inference.cpp
std::vector<Work> attention_works();  // bench/attention.cpp
/// Limits of the machine and what is read from disk; a result "rate" is what they reach.
std::vector<Work> machine_works();  // bench/machine.cpp

/// Prepares `work` in `folder`, runs it once, writes its results to folder/retort.safetensors and
/// says {"ready": ...} with its peak memory; then, for each line "run" of standard input, runs it
/// and says {"seconds": ...}.
void serve(const Work& work, const std::string& folder);

/// Numbers of N(0, std), from `seed`.
Tensor random_normal(Shape shape, uint64_t seed, double std = 1);
/// Ids below `vocab`, from `seed`.
Tensor random_ids(Shape shape, uint64_t seed, int vocab);
/// Writes a model in a published family's format: config.json (with these fields) and
/// model.safetensors.
void publish(const Model& model, const std::string& family, Json config, const std::string& folder);

}  // namespace retort
