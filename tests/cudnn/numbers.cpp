// What cudnn_attention_forward and _backward compute when fake_cudnn.cpp carries their graphs out,
// against the engine's own kernel in float32: values, gradients, masks, groups, strides.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_cudnn.h"

using namespace retort;

namespace {

float up(uint16_t x) { return std::bit_cast<float>(uint32_t(x) << 16); }

// Values of both kernels: bfloat16 for cuDNN, the same as floats for the engine's.
struct Values {
  std::vector<uint16_t> half;
  std::vector<float> full;
  Values(size_t n, std::mt19937& random) : half(n), full(n) {
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < n; ++i) {
      half[i] = uint16_t(std::bit_cast<uint32_t>(normal(random)) >> 16);
      full[i] = up(half[i]);
    }
  }
};

// The largest difference, relative to the largest value.
template <class T>
double difference(const std::vector<T>& x, const std::vector<float>& y) {
  double worst = 0, top = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    double value = sizeof(T) == 2 ? up(uint16_t(x[i])) : double(x[i]);
    worst = std::isfinite(value) ? std::max(worst, std::abs(value - y[i])) : INFINITY;
    top = std::max(top, double(std::abs(y[i])));
  }
  return worst / top;
}

bool compare(AttentionShape s, bool packed) {
  std::mt19937 random(1);
  size_t queries = size_t(s.B) * s.T * s.H * s.D, keys = size_t(s.B) * s.S * s.K * s.D;
  size_t rows = size_t(s.B) * s.H * s.T;
  Values qkv(packed ? 3 * queries : queries + 2 * keys, random), dout(queries, random);
  size_t ko = packed ? s.H * s.D : queries, vo = packed ? 2 * ko : queries + keys;
  AttentionStrides of_q{s.T * s.H * s.D, s.H * s.D, s.D}, of_k{s.S * s.K * s.D, s.K * s.D, s.D};
  if (packed) s.q = s.k = s.v = of_q = of_k = {3 * s.T * s.H * s.D, 3 * s.H * s.D, s.D};
  std::vector<int> lengths(s.B);
  for (int b = 0; b < s.B; ++b) lengths[b] = std::max(1, s.S - 3 * b);

  auto heads = [](const AttentionStrides& x) {
    return Heads{size_t(x.batch), size_t(x.position), size_t(x.head)};
  };
  AttentionArgs<float> args{};
  args.B = s.B, args.T_ = s.T, args.S = s.S, args.H = s.H, args.K = s.K, args.D = s.D;
  args.q = qkv.full.data(), args.k = args.q + ko, args.v = args.q + vo;
  args.qs = heads(of_q), args.ks = args.vs = heads(of_k);
  args.lengths = s.lengths ? lengths.data() : nullptr;
  args.causal = s.causal;
  args.scale = float(1 / std::sqrt(double(s.D)));
  std::vector<float> out(queries), sums(rows), dq(queries), dk(keys), dv(keys);
  attention_forward(Device::cpu, args, out.data(), sums.data());
  attention_backward(Device::cpu, args, out.data(), sums.data(), dout.full.data(), dq.data(),
                     dk.data(), dv.data(), static_cast<float*>(nullptr),
                     static_cast<float*>(nullptr));

  const uint16_t unwritten = 0x7fc0;  // NaN
  std::vector<uint16_t> o(queries, unwritten), q(o), k(keys, unwritten), v(k);
  std::vector<float> log_sum(rows, NAN);
  std::vector<char> memory;
  auto workspace = [&](size_t bytes) {
    memory.assign(bytes + 256, char(0xff));
    auto address = reinterpret_cast<uintptr_t>(memory.data());
    return reinterpret_cast<void*>((address + 255) / 256 * 256);
  };
  const uint16_t* in = qkv.half.data();
  AttentionBuffers b{in,         in + ko,  in + vo,        lengths.data(),
                     args.scale, o.data(), log_sum.data(), dout.half.data(),
                     q.data(),   k.data(), v.data()};
  bool ran = cudnn_attention_forward(s, b, nullptr, workspace) &&
             cudnn_attention_backward(s, b, nullptr, workspace);
  double worst =
      std::max({difference(o, out), difference(q, dq), difference(k, dk), difference(v, dv)});
  double worst_sum = difference(log_sum, sums);
  bool good = ran && worst < 0.02 && worst_sum < 1e-5;
  std::printf("%s B%d T%d S%d H%d K%d D%d%s%s%s%s: off by %.1e, log-sum-exp by %.1e\n",
              good ? "ok   " : "WRONG", s.B, s.T, s.S, s.H, s.K, s.D, s.causal ? " causal" : "",
              s.lengths ? " lengths" : "", packed ? " packed" : "",
              s.deterministic ? " deterministic" : "", worst, worst_sum);
  return good;
}

}  // namespace

int main() {
  int bad = 0;
  struct Size {
    int B, T, S, H, K, D;
  };
  for (Size n : {Size{2, 7, 7, 2, 2, 8}, {2, 5, 9, 4, 2, 16}, {3, 12, 9, 3, 1, 24}})
    for (int options = 0; options < 16; ++options) {
      AttentionShape s{n.B, n.T, n.S, n.H, n.K, n.D, false, false, false, {}, {}, {}};
      s.causal = options & 1;
      s.lengths = options & 2;
      s.deterministic = options & 4;
      bool packed = options & 8;
      if (packed && (n.T != n.S || n.H != n.K)) continue;
      if (cudnn_attention_accepts(s)) bad += !compare(s, packed);
    }
  bool found = cudnn_attention_found();
  std::printf(found ? "numbers of cuDNN's graphs: %d wrong\n" : "the fake cuDNN is not found\n",
              bad);
  return !found || bad;
}
