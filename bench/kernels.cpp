// Row kernels against the bandwidth of a copy, attention against the rate of a product, each timed
// in turn with its limit. Bytes are those of the tensors a kernel reads and writes.
#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "bench/bench.h"
#include "engine/ops.h"
#include "losses/cross_entropy.h"
#include "losses/divergence.h"

namespace retort {
namespace {

struct Kernel {
  std::string name;
  double bytes = 0, operations = 0;
  std::function<void()> run;
};

// Seconds of one of `times` runs that are asked for together: what asking and waiting cost is not
// the kernel's.
double time(Device device, const Kernel& w, int times) {
  device_synchronize(device);
  double start = now();
  for (int i = 0; i < times; i++) w.run();
  device_synchronize(device);
  return (now() - start) / times;
}

Tensor filled(Shape shape, Dtype dtype, Device device) {
  Tensor x = Tensor::zeros(shape, dtype, device);
  return dropout(scale(x, 1, 1), 0.5, {7});
}

// Times each of `works` named so in turn with what is its limit, the best rate of `limits`.
void measure(Device device, Dtype dtype, const std::string& only, double seconds,
             const std::vector<Kernel>& limits, const std::vector<Kernel>& works, Json& rows) {
  int times = device == Device::cuda ? 20 : 1;
  for (const Kernel& w : works) {
    if (w.name.find(only) == std::string::npos) continue;
    auto rate = [](const Kernel& v, double t) { return (v.bytes ? v.bytes : v.operations) / t; };
    std::vector<double> own;
    double most = 0;
    for (double begin = now(); own.size() < 5 || now() - begin < seconds;) {
      for (const Kernel& limit : limits)
        most = std::max(most, rate(limit, time(device, limit, times)));
      own.push_back(time(device, w, times));
    }
    double got = rate(w, median(own));
    fmt::print("| {} | {} | {:.3f} | {:.1f} {} | {:.1f} | {:.2f} |\n", w.name, name_of(dtype),
               1e3 * median(own), 1e-9 * got, w.bytes ? "GB/s" : "GFLOP/s", 1e-9 * most,
               got / most);
    std::fflush(stdout);
    rows.push_back({{"name", w.name},
                    {"dtype", name_of(dtype)},
                    {"seconds", median(own)},
                    {"rate", got},
                    {"limit", most}});
  }
}

}  // namespace

Json bench_kernels(Device device, const std::string& only, double seconds) {
  NoGrad quiet;
  // On CUDA tensors are larger than the caches of the device.
  int N = device == Device::cuda ? 4096 : 256, V = 32000, B = 8, T = 512, H = 8, D = 64,
      M = device == Device::cuda ? 8192 : 2048;
  std::vector<Dtype> types{Dtype::f32};
  if (device == Device::cuda) types.push_back(Dtype::bf16);
  Json rows = Json::array();
  fmt::print("\n| kernel | type | ms | rate | limit | fraction |\n|---|---|---:|---:|---:|---:|\n");
  for (Dtype dtype : types) {
    Tensor x = filled({N, V}, dtype, device), y = filled({N, V}, dtype, device),
           gain = filled({V}, dtype, device), q = filled({B, T, H, D}, dtype, device),
           a = filled({M, M}, dtype, device);
    Tensor labels = Tensor::from(std::vector<int>(size_t(N), 3), {N}, device);
    double row = double(x.storage->bytes);
    std::vector<Kernel> bandwidth = {{"map", 2 * row, 0, [=] { scale(x, 1); }}};
    if (device == Device::cuda)
      bandwidth.push_back({"copy", 2 * row, 0, [=] {
                             device_copy(device, y.storage->data, device, x.storage->data,
                                         x.storage->bytes);
                           }});
    std::vector<Kernel> arithmetic = {{"product", 0, 2.0 * M * M * M, [=] { matmul(a, a); }}};
    std::vector<Kernel> works = {{"softmax", 2 * row, 0, [=] { softmax(x); }},
                                 {"layer_norm", 2 * row, 0, [=] { layer_norm(x, gain, gain); }},
                                 {"gelu", 2 * row, 0, [=] { gelu(x); }},
                                 {"add", 3 * row, 0, [=] { add(x, y); }},
                                 {"dropout", 2 * row, 0, [=] { dropout(x, 0.1, {7}); }}};
    if (dtype == Dtype::f32) {  // losses are computed in it
      works.push_back({"cross_entropy", 2 * row, 0, [=] { cross_entropy(x, labels); }});
      for (const DivergenceInfo& d : divergences())
        works.push_back({d.name, 3 * row, 0, [=] { divergence(parse_divergence(d.name), x, y); }});
    }
    measure(device, dtype, only, seconds, bandwidth, works, rows);
    measure(device, dtype, only, seconds, arithmetic,
            {{"attention", 0, 4.0 * B * H * T * T * D, [=] { attention(q, q, q); }}}, rows);
  }
  return rows;
}

}  // namespace retort
