// What the benchmarks share. Each prints its table and returns it as JSON.
#pragma once
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/device.h"

namespace retort {

using Json = nlohmann::json;

/// Seconds of a steady clock.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double median(std::vector<double> values);

/// The training step of the configurations whose name contains `only`, `seconds` for each.
Json bench_steps(Device device, const std::string& only, double seconds);
/// Row kernels against a copy's bandwidth, attention against a product's rate: those whose name
/// contains `only`, about `seconds` for each.
Json bench_kernels(Device device, const std::string& only, double seconds);

}  // namespace retort
