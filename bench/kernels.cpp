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

struct Work {
  std::string name;
  double bytes = 0, operations = 0;
  std::function<void()> run;
};

double time(Device device, const Work& w) {
  device_synchronize(device);
  double start = now();
  w.run();
  device_synchronize(device);
  return now() - start;
}

Tensor filled(Shape shape, Device device) {
  Tensor x = Tensor::zeros(shape, Dtype::f32, device);
  return dropout(scale(x, 1, 1), 0.5, {7});
}

}  // namespace

Json bench_kernels(Device device, double seconds) {
  NoGrad quiet;
  int N = 256, V = 32000, B = 8, T = 512, H = 8, D = 64, M = 2048;
  Tensor x = filled({N, V}, device), y = filled({N, V}, device), gain = filled({V}, device);
  Tensor labels = Tensor::from(std::vector<int>(size_t(N), 3), {N}, device);
  Tensor q = filled({B, T, H, D}, device), a = filled({M, M}, device);
  double row = 4.0 * N * V;
  Work copy{"copy", 2 * row, 0, [=] { scale(x, 1); }};
  Work product{"product", 0, 2.0 * M * M * M, [=] { matmul(a, a); }};
  std::vector<Work> works = {{"softmax", 2 * row, 0, [=] { softmax(x); }},
                             {"layer_norm", 2 * row, 0, [=] { layer_norm(x, gain, gain); }},
                             {"gelu", 2 * row, 0, [=] { gelu(x); }},
                             {"add", 3 * row, 0, [=] { add(x, y); }},
                             {"dropout", 2 * row, 0, [=] { dropout(x, 0.1, {7}); }},
                             {"cross_entropy", 2 * row, 0, [=] { cross_entropy(x, labels); }}};
  for (const DivergenceInfo& d : divergences())
    works.push_back({d.name, 3 * row, 0, [=] { divergence(parse_divergence(d.name), x, y); }});
  works.push_back({"attention", 0, 4.0 * B * H * T * T * D, [=] { attention(q, q, q); }});
  Json rows = Json::array();
  fmt::print("\n| kernel | ms | rate | limit | fraction |\n|---|---:|---:|---:|---:|\n");
  for (const Work& w : works) {
    const Work& limit = w.bytes ? copy : product;
    std::vector<double> own, best;
    for (double begin = now(); own.size() < 5 || now() - begin < seconds;)
      best.push_back(time(device, limit)), own.push_back(time(device, w));
    auto rate = [](const Work& v, double t) { return (v.bytes ? v.bytes : v.operations) / t; };
    double got = rate(w, median(own)),
           most = rate(limit, *std::min_element(best.begin(), best.end()));
    fmt::print("| {} | {:.3f} | {:.1f} {} | {:.1f} | {:.2f} |\n", w.name, 1e3 * median(own),
               1e-9 * got, w.bytes ? "GB/s" : "GFLOP/s", 1e-9 * most, got / most);
    rows.push_back({{"name", w.name}, {"seconds", median(own)}, {"rate", got}, {"limit", most}});
  }
  return rows;
}

}  // namespace retort
