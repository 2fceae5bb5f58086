// The training step of three teacher/student pairs against the machine's limit. A step: teacher
// forward, student forward and backward, js over all positions (mean over tokens), clipping at 1,
// AdamW; decoder-only, GPT-2 shape, float32 (on CUDA bfloat16 as well).
//   GFLOP/s   matrix products of the step (linear layers and attention scores; 2 m n k each) over
//             the step's time
//   raw       the best rate that one product of the step's own linear layers reaches, timed between
//             the steps
//   fraction  GFLOP/s over raw
#include <fmt/core.h>

#include <algorithm>

#include "bench/bench.h"

#include "engine/optimizer.h"
#include "kernels/gemm.h"
#include "losses/divergence.h"
#include "models/model.h"

namespace retort {
namespace {

struct Size {
  int width, layers, heads;
};
struct Configuration {
  const char* name;
  int V, T, B;
  Size teacher, student;
};
const Configuration kConfigurations[] = {
    {"V8192-T128-B8-256x4x4/128x2x2", 8192, 128, 8, {256, 4, 4}, {128, 2, 2}},
    {"V8192-T128-B8-512x6x8/256x2x4", 8192, 128, 8, {512, 6, 8}, {256, 2, 4}},
    {"V32000-T256-B4-768x12x12/768x6x12", 32000, 256, 4, {768, 12, 12}, {768, 6, 12}},
};

struct Product {
  int m, n, k;  // C (m, n) = A (m, k) B (n, k)^T
};

// Linear products of one forward pass.
std::vector<Product> products(const Configuration& c, const Size& s) {
  int N = c.B * c.T, C = s.width;
  std::vector<Product> p;
  for (int l = 0; l < s.layers; l++) {
    p.push_back({N, 3 * C, C});
    p.push_back({N, C, C});
    p.push_back({N, 4 * C, C});
    p.push_back({N, C, 4 * C});
  }
  p.push_back({N, c.V, C});
  return p;
}
double forward_flops(const Configuration& c, const Size& s) {
  double f = 0;
  for (const Product& p : products(c, s)) f += 2.0 * p.m * p.n * p.k;
  return f + double(s.layers) * 4 * c.B * c.T * c.T * s.width /
                 2;  // scores and sums over values, causal half
}

// Rate of one product, GFLOP/s, as forward computes it.
double raw_rate(Device device, Dtype dtype, const Product& p) {
  int times = device == Device::cuda ? 20 : 1;
  Tensor a = Tensor::zeros({p.m, p.k}, dtype, device), b = Tensor::zeros({p.n, p.k}, dtype, device),
         c({p.m, p.n}, dtype, device);
  device_synchronize(device);
  double start = now();
  dispatch(dtype, [&]<class T>(T) {
    for (int i = 0; i < times; i++)
      gemm<T>(device,
              {.tb = true, .m = p.m, .n = p.n, .k = p.k, .lda = p.k, .ldb = p.k, .ldc = p.n},
              a.data<T>(), b.data<T>(), c.data<T>());
  });
  device_synchronize(device);
  return 2e-9 * times * p.m * p.n * p.k / (now() - start);
}

Model make(const Configuration& c, const Size& s, uint64_t seed, Dtype dtype, Device device) {
  ModelConfig m = ModelConfig::preset("gpt2");
  m.vocab = c.V, m.width = s.width, m.heads = s.heads, m.layers = s.layers, m.max_positions = c.T;
  m.dropout = m.attention_dropout = 0;
  return Model(m, seed, dtype, device);
}

Json measure(Device device, Dtype dtype, const Configuration& c, double seconds) {
  Model teacher = make(c, c.teacher, 1, dtype, device),
        student = make(c, c.student, 2, dtype, device);
  auto adam = make_optimizer({}, student.parameters());
  std::vector<int> ids(size_t(c.B) * size_t(c.T));
  for (size_t i = 0; i < ids.size(); i++) ids[i] = int(uniform({3}, 0, uint32_t(i)) * float(c.V));
  Inputs in;
  in.target = Tensor::from(ids, {c.B, c.T}, device);
  int N = c.B * c.T;
  std::map<std::string, std::vector<double>> parts;
  std::vector<double> steps;
  double best_raw = 0;
  std::vector<Product> all = products(c, c.teacher), more = products(c, c.student);
  all.insert(all.end(), more.begin(), more.end());
  size_t next = 0;
  double begin = now();
  reset_peak_memory(device);
  for (int i = 0; i < 5 || now() - begin < seconds; i++) {  // the first warms up
    double t = now(), start = t;
    auto lap = [&](const char* name) {  // every other step: waiting between its parts slows it
      if (i % 2 == 0) return;
      device_synchronize(device);
      double u = now();
      if (i > 1) parts[name].push_back(u - t);
      t = u;
    };
    student.parameters().zero_grads();
    Tensor target;
    {
      NoGrad quiet;
      Pass pass;
      target = reshape(teacher.forward(in, pass).logits, {N, c.V});
    }
    lap("teacher forward");
    Pass pass;
    Tensor logits = reshape(student.forward(in, pass).logits, {N, c.V});
    lap("student forward");
    Tensor loss = mean(divergence({"js"}, target, logits));
    lap("js");
    backward(loss);
    lap("backward");
    clip_grad_norm(student.parameters(), 1);
    lap("clip");
    adam->step(1e-4);
    lap("adamw");
    device_synchronize(device);
    if (i && i % 2 == 0) steps.push_back(now() - start);
    for (int k = 0; k < 4; k++)
      best_raw = std::max(best_raw, raw_rate(device, dtype, all[next++ % all.size()]));
  }
  double flops = forward_flops(c, c.teacher) + 3 * forward_flops(c, c.student),
         step = median(steps);
  Json j = {{"name", c.name},
            {"dtype", name_of(dtype)},
            {"step_seconds", step},
            {"steps", steps.size()},
            {"tokens_per_second", N / step},
            {"gflops", 1e-9 * flops / step},
            {"raw_gflops", best_raw},
            {"fraction", 1e-9 * flops / step / best_raw},
            {"peak_bytes", memory_stats(device).peak}};
  for (auto& [name, v] : parts) j["parts"][name] = median(v);
  return j;
}

}  // namespace

Json bench_steps(Device device, const std::string& only, double seconds) {
  Json rows = Json::array();
  std::vector<Dtype> types{Dtype::f32};
  if (device == Device::cuda) types.push_back(Dtype::bf16);
  fmt::print(
      "| configuration | type | tokens/s | GFLOP/s | raw GFLOP/s | fraction | peak MB "
      "|\n|---|---|---:|---:|---:|---:|---:|\n");
  for (const Configuration& c : kConfigurations)
    for (Dtype dtype : types) {
      if (std::string(c.name).find(only) == std::string::npos) continue;
      Json j = measure(device, dtype, c, seconds);
      fmt::print("| {} | {} | {:.0f} | {:.1f} | {:.1f} | {:.2f} | {:.0f} |\n", c.name,
                 name_of(dtype), j["tokens_per_second"].get<double>(), j["gflops"].get<double>(),
                 j["raw_gflops"].get<double>(), j["fraction"].get<double>(),
                 j["peak_bytes"].get<double>() / 1e6);
      std::fflush(stdout);
      rows.push_back(j);
    }
  return rows;
}

}  // namespace retort
