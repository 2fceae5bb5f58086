// Choices from rows of logits: the likeliest tokens in order, and a draw from softmax(x / T) cut to
// top-k and top-p. Nothing is sorted: thresholds are found by bisection, each step a sum over the
// row, so that a row is a team's work on every device.
#pragma once
#include <cstdint>

#include "kernels/launch.h"
#include "kernels/random.h"

namespace retort {

/// The `count` largest numbers of each row with their ids, the largest first; of equal ones the
/// lower id comes first. NaN counts as larger than all.
struct Best {
  const float* x;
  float* values;  // (rows, count)
  int* ids;
  int count, n;
  // Number i as an integer: ordered by value, then against i.
  HD static int64_t key(int i, float v) {
    int b = bits<int>(v);
    b = v == v ? b ^ ((b >> 31) & 0x7fffffff) : 0x7fffffff;
    return int64_t(uint64_t(uint32_t(b)) << 32 | (0xffffffffu - uint32_t(i)));
  }
  template <class Team>
  HD void operator()(Team team, int row) const {
    const float* a = x + size_t(row) * n;
    int64_t last = INT64_MAX;
    for (int k = 0; k < count; k++) {
      last = team.max(
          n,
          [&](int i, float v) {
            int64_t c = key(i, v);
            return c < last ? c : INT64_MIN;
          },
          a);
      team.one([&] {
        int id = int(0xffffffffu - uint32_t(last));
        ids[size_t(row) * count + k] = id;
        values[size_t(row) * count + k] = a[id];
      });
    }
  }
};

struct Uniform {
  RandomKey key;
  uint32_t index;
  HD float operator()(int sequence) const { return uniform(key, uint32_t(sequence), index); }
};

/// One token of each row: the first id whose cumulative weight exceeds u of the total, where the
/// weights are exp((x - max x) factor), 0 outside top-k and (then) the fewest likeliest with a
/// share top_p of the rest (Holtzman et al. 2020); of equal weights lower ids stay first. Sums run
/// in double. -1: the row has NaN, or nothing but -inf.
struct Draw {
  const float *x, *u;
  float* weights;  // (rows, n), for the row's own use
  int* tokens;
  float factor;  // 1 / temperature
  int top_k;     // 0: all
  double top_p;
  int n;

  template <class Team>
  HD void operator()(Team team, int row) const {
    const float* a = x + size_t(row) * n;
    float* w = weights + size_t(row) * n;
    float m = team.max(
        n, [](int, float v) { return v; }, a);
    double total = team.sum(
        n,
        [&](int, float v, float& e) {
          e = exp_((v - m) * factor);
          return double(e);
        },
        a, out(w));
    int id = -1;
    if (total > 0) {
      if (top_k > 0 && top_k < n) total = keep(team, w, true, top_k);
      if (top_p < 1) total = keep(team, w, false, top_p * total);
      auto weight = [](float v) { return double(v); };
      int found = find(team, w, weight, double(u[row]) * total);
      // Where rounding has led past the last weight above 0. Every lane begins a maximum with
      // element 0, which it may not have written.
      id = team.max(n, [&](int i) { return i > 0 && i <= found && w[i] > 0 ? i : 0; });
    }
    team.one([&] { tokens[row] = id; });
  }

  // The sum of f over w[begin] to w[end - 1]. One thread reads these alone; with many each reads
  // what it wrote, all of the row.
  template <class Team, class F>
  HD double part(const Team& team, const float* w, F f, int begin, int end) const {
    return team.sum(
        n, [&](int i, float v) { return i >= begin && i < end ? f(v) : 0.0; }, w);
  }
  template <class F>
  HD double part(const Solo& team, const float* w, F f, int begin, int end) const {
    return team.sum(
        end - begin, [&](int, float v) { return f(v); }, w + begin);
  }
  // The first id at which the sum of f so far exceeds `goal`, which the whole sum does.
  template <class Team, class F>
  HD int find(const Team& team, const float* w, F f, double goal) const {
    double before = 0;  // sum up to low
    int low = 0, high = n;
    while (high - low > 1) {
      int middle = low + (high - low) / 2;
      double s = before + part(team, w, f, low, middle);
      if (s > goal)
        high = middle;
      else
        low = middle, before = s;
    }
    return low;
  }

  // Zeroes all but the largest weights, as few as together are worth `goal`, each one where
  // `counted`, otherwise what it weighs. Returns the sum of those that stay.
  template <class Team>
  HD double keep(const Team& team, float* w, bool counted, double goal) const {
    auto worth = [&](float v) { return counted ? 1.0 : double(v); };
    // Weights lie in [0, 1], where floats are ordered as their bits are.
    int low = 0, high = bits<int>(1.f) + 1;
    while (high - low > 1) {
      int middle = low + (high - low) / 2;
      float t = bits<float>(middle);
      double s = team.sum(
          n, [&](int, float v) { return v >= t ? worth(v) : 0.0; }, w);
      (s >= goal ? low : high) = middle;
    }
    float t = bits<float>(low);
    Pair<double> s = team.sums(
        n,
        [&](int, float v) {
          return Pair<double>{v > t ? worth(v) : 0.0, v == t ? 1.0 : 0.0};
        },
        w);
    // So many of those at the threshold stay.
    double equals = max_(1.0, double(::ceil((goal - s.a) / worth(t))));
    int last = n;
    if (equals < s.b)
      last = find(
          team, w, [=](float v) { return v == t ? 1.0 : 0.0; }, equals - 0.5);
    return team.sum(
        n,
        [&](int i, float& v) {
          v = v > t || (v == t && i <= last) ? v : 0.f;
          return double(v);
        },
        inout(w));
  }
};

}  // namespace retort
