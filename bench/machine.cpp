// What the machine can do: the best product, STREAM's triad; and how fast files are read.
#include <fstream>

#include "bench/bench.h"
#include "engine/ops.h"
#include "engine/safetensors.h"

namespace retort {
namespace {

// a = b + s c over arrays larger than the caches (McCalpin's STREAM): bytes per second.
std::function<Results()> triad(const std::string&) {
  constexpr size_t n = 32 << 20;
  auto a = std::make_shared<std::vector<float>>(n, 0.f),
       b = std::make_shared<std::vector<float>>(n, 1.f),
       c = std::make_shared<std::vector<float>>(n, 2.f);
  return [=] {
    float *x = a->data(), *y = b->data(), *z = c->data();
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++) x[i] = y[i] + 3.f * z[i];
    return Results{{"bytes", Tensor::full({1}, 3.0 * 4 * n)}};
  };
}

// 500 MB of weights, which the page cache holds: as Retort loads them, checksum included; as read()
// copies them.
constexpr int kRows = 125000, kCols = 1000;
std::string large(const std::string& folder) {
  std::string path = folder + "/large.safetensors";
  save_safetensors(path, {{"x", Tensor::zeros({kRows, kCols})}});
  return path;
}
std::function<Results()> load(const std::string& folder) {
  return [path = large(folder)] {
    return Results{{"x", slice(load_safetensors(path).tensors.at("x"), 0, 0, 1)}};
  };
}
std::function<Results()> read(const std::string& folder) {
  Tensor x({kRows, kCols}, Dtype::f32);
  return [path = large(folder), x] {
    std::ifstream in(path, std::ios::binary);
    in.read(static_cast<char*>(x.bytes()), std::streamsize(x.storage->bytes));
    return Results{{"x", slice(x, 0, 1, 1)}};
  };
}

}  // namespace

std::vector<Work> machine_works() { return {{"triad", triad}, {"load", load}, {"read", read}}; }

}  // namespace retort
