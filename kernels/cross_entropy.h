// Cross-entropy of each row with label smoothing: -(1 - s) log q[y] - s/V sum_v log q[v], and its
// gradient q - (1 - s) [v = y] - s/V in the logits. Rows with a negative label are skipped.
#pragma once
#include "kernels/launch.h"

namespace retort {

template <class T>
struct CrossEntropy {
  const T* x;
  const int* labels;
  T *loss, *dx;
  T smoothing;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row) * n;
    T *g = dx + size_t(row) * n, s = smoothing, share = s / T(n);
    int label = labels[row];
    if (label < 0) {
      team.each(
          n, [](int, T& d) { d = 0; }, out(g));
      team.one([&] { loss[row] = 0; });
      return;
    }
    T m = team.max(
        n, [](int, T v) { return v; }, a);
    auto z = team.sums(
        n,
        [&](int, T v, T& e) {
          return Pair<T>{e = exp_(v - m), v - m};
        },
        a, out(g));
    T log_z = log_(z.a), scale = 1 / z.a;
    // The gradient at the label is the sum of the others: 1 - q would lose its digits.
    T others = team.sum(
                   n, [&](int i, T e) { return i == label ? T(0) : e; }, g) *
               scale;
    team.each(
        n, [&](int i, T& e) { e = (i == label ? s - others : e * scale) - share; }, inout(g));
    team.one([&] {
      loss[row] = (1 - s) * (log_z - (a[label] - m)) + (s > 0 ? s * log_z - share * z.b : T(0));
    });
  }
};

}  // namespace retort
