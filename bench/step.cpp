// The training step of three teacher/student pairs against the machine's limit. A step: teacher
// forward, student forward and backward, js over all positions (mean over tokens), clipping at 1,
// AdamW; decoder-only, GPT-2 shape, float32 (on CUDA bfloat16 as well).
//   GFLOP/s   matrix products of the step (linear layers and attention scores; 2 m n k each) over
//             the step's time
//   raw       the best rate that one product of the step's own linear layers reaches, timed between
//             the steps
//   fraction  GFLOP/s over raw
#include <fmt/core.h>
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "bench/bench.h"

#include "engine/optimizer.h"
#include "engine/safetensors.h"
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

// Teacher, student and optimizer of a configuration, and their training step.
struct Distillation {
  const Configuration& c;
  Model teacher, student;
  std::unique_ptr<Optimizer> adam;
  Inputs in;
  Tensor norm;  // of the last step's gradient

  Distillation(const Configuration& c, Dtype dtype, Device device)
      : c(c),
        teacher(make(c, c.teacher, 1, dtype, device)),
        student(make(c, c.student, 2, dtype, device)),
        adam(make_optimizer({}, student.parameters())) {
    teacher.parameters().drop_grads();
    in.target = random_ids({c.B, c.T}, 3, c.V).to(device);
  }
  /// Calls lap(name) behind each part; returns the loss.
  template <class Lap>
  Tensor step(Lap lap) {
    int N = c.B * c.T;
    student.parameters().zero_grads();
    Pass pass, quiet_pass;
    Tensor loss;
    {  // what the loss is of goes before its backward comes
      Tensor target;
      {
        NoGrad quiet;
        target = reshape(teacher.forward(in, quiet_pass).logits, {N, c.V});
      }
      lap("teacher forward");
      Tensor logits = reshape(student.forward(in, pass).logits, {N, c.V});
      lap("student forward");
      loss = mean(divergence({"js"}, std::move(target), logits));
    }
    lap("js");
    backward(loss);
    lap("backward");
    norm = clip_grad_norm(student.parameters(), 1);
    lap("clip");
    adam->step(1e-4);
    lap("adamw");
    return loss.detach();
  }
};

Json measure(Device device, Dtype dtype, const Configuration& c, double seconds) {
  Distillation pair(c, dtype, device);
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
    pair.step(lap);
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

Json bench_growth(const std::string& only) {
  Json rows = Json::array();
  if (std::string("growth").find(only) == std::string::npos) return rows;
  const Configuration base = kConfigurations[0];
  int all = omp_get_max_threads();
  auto seconds = [](const Configuration& c) {
    Distillation pair(c, Dtype::f32, Device::cpu);
    std::vector<double> times;
    for (int i = 0; i < 6; i++) {  // the first warms up
      double start = now();
      pair.step([](const char*) {});
      if (i) times.push_back(now() - start);
    }
    return median(times);
  };
  fmt::print("\n| step time against | values | ms | exponent |\n|---|---|---|---:|\n");
  auto grow = [&](const char* what, std::vector<int> values, auto set) {
    std::vector<double> times;
    double sx = 0, sy = 0, sxx = 0, sxy = 0, n = double(values.size());
    std::string xs, ys;
    for (int v : values) {
      Configuration c = base;
      set(c, v);
      times.push_back(seconds(c));
      double x = std::log(v), y = std::log(times.back());
      sx += x, sy += y, sxx += x * x, sxy += x * y;
      xs += fmt::format("{}{}", xs.empty() ? "" : ", ", v);
      ys += fmt::format("{}{:.1f}", ys.empty() ? "" : ", ", 1e3 * times.back());
    }
    double exponent = (n * sxy - sx * sy) / (n * sxx - sx * sx);  // of a straight line through logs
    fmt::print("| {} | {} | {} | {:.2f} |\n", what, xs, ys, exponent);
    std::fflush(stdout);
    rows.push_back(
        {{"name", what}, {"values", values}, {"seconds", times}, {"exponent", exponent}});
  };
  grow("length", {64, 128, 256, 512, 1024}, [](Configuration& c, int v) { c.T = v; });
  grow("vocabulary", {4096, 8192, 16384, 32768}, [](Configuration& c, int v) { c.V = v; });
  grow("batch", {2, 4, 8, 16, 32}, [](Configuration& c, int v) { c.B = v; });
  grow("layers of both", {2, 4, 8, 16},
       [](Configuration& c, int v) { c.teacher.layers = c.student.layers = v; });
  if (all > 1) grow("threads", {1, all}, [](Configuration&, int v) { omp_set_num_threads(v); });
  omp_set_num_threads(all);
  return rows;
}

std::vector<Work> step_works() {
  std::vector<Work> works;
  for (size_t i = 0; i < std::size(kConfigurations); i++)
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      const Configuration& c = kConfigurations[i];
      std::string name = "step/" + std::to_string(i + 1);
      if (dtype == Dtype::bf16) name += "/bf16";
      works.push_back(
          {name, [=, &c](const std::string& folder) {
             auto pair = std::make_shared<Distillation>(c, dtype, Device::cpu);
             if (dtype == Dtype::f32) {
               for (auto [model, size, who] : {std::tuple{&pair->teacher, c.teacher, "teacher"},
                                               std::tuple{&pair->student, c.student, "student"}})
                 publish(*model, "gpt2",
                         {{"vocab_size", c.V},
                          {"n_embd", size.width},
                          {"n_layer", size.layers},
                          {"n_head", size.heads},
                          {"n_positions", c.T},
                          {"activation_function", "gelu_pytorch_tanh"},
                          {"resid_pdrop", 0},
                          {"embd_pdrop", 0},
                          {"attn_pdrop", 0}},
                         folder + "/" + who);
               save_safetensors(folder + "/inputs.safetensors", {{"ids", pair->in.target}});
             }
             return [pair] {
               Tensor loss = pair->step([](const char*) {});
               return Results{{"loss", loss}, {"norm", pair->norm.to(Dtype::f32)}};
             };
           }});
    }
  for (Dtype dtype : {Dtype::f32, Dtype::bf16})  // the loss after 300 steps, of the second
    works.push_back({dtype == Dtype::f32 ? "train/2" : "train/2/bf16", [=](const std::string&) {
                       return [=] {
                         Distillation pair(kConfigurations[1], dtype, Device::cpu);
                         Tensor loss;
                         for (int i = 0; i < 300; i++) loss = pair.step([](const char*) {});
                         return Results{{"loss", loss}};
                       };
                     }});
  return works;
}

}  // namespace retort
