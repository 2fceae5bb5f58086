// Sorting rows where no thread sees its neighbours' work within a launch: Batcher's bitonic
// network, one launch for each of its steps; and the distance of two sorted rows of probabilities.
#pragma once
#include "kernels/launch.h"

namespace retort {

template <class T>
struct SortStart {  // keys padded with -inf, and where each key stood
  const T* x;
  T* keys;
  int* ids;
  int columns, n;  // n, a power of 2, is at least `columns`
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row) * size_t(columns);
    int columns = this->columns;
    team.each(
        n, [&](int i, T& key, int& id) { key = i < columns ? a[i] : T(-INFINITY), id = i; },
        out(keys + size_t(row) * size_t(n)), out(ids + size_t(row) * size_t(n)));
  }
};

template <class T>
struct SortStep {  // of the blocks of `block` keys: those `distance` apart change places; falling
  T* keys;
  int* ids;
  int block, distance, n;  // n pairs
  template <class Team>
  HD void operator()(Team team, int row) const {
    T* key = keys + size_t(row) * size_t(n) * 2;
    int *id = ids + size_t(row) * size_t(n) * 2, d = distance, b = block;
    team.each(n, [&](int i) {
      int left = 2 * d * (i / d) + i % d, right = left + d;
      T x = key[left], y = key[right];
      int p = id[left], q = id[right];
      bool falling = (left & b) == 0, ordered = x > y || (x == y && p < q);
      if (falling == ordered) return;
      key[left] = y, key[right] = x;
      id[left] = q, id[right] = p;
    });
  }
};

// sum_r |q_(r) - p_(r)| of sorted rows, and its slope in q at the places the keys came from.
template <class T>
struct SortedDistance {
  const T *student, *teacher;  // falling logits
  const int* ids;
  T *loss, *slope;
  T k;
  int columns, n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * size_t(n);
    const T *x = student + o, *y = teacher + o;
    T k = this->k, mx = x[0], my = y[0];
    // Sums without the first: 1 / (1 + r) of two rows that are nearly all in it differ by them.
    auto rest = team.sums(
        n,
        [&](int i, T a, T b) {
          return Pair<T>{i ? exp_((a - mx) * k) : T(0), i ? exp_((b - my) * k) : T(0)};
        },
        x, y);
    // mx - mx is NaN where the first is infinite.
    T sx = 1 / (1 + (mx - mx) + rest.a), sy = 1 / (1 + (my - my) + rest.b);
    T first = (rest.b - rest.a) * sx * sy;
    T* g = slope + size_t(row) * size_t(columns);
    int columns = this->columns;
    T l = team.sum(
        n,
        [&](int i, T a, T b, int id) {
          // q - p; 0 of equal rows, whatever is fused: their slope would be that of rounding.
          T qx = exp_((a - mx) * k), py = exp_((b - my) * k);
          T d = i ? (qx - py) * sx + py * first : first;
          if (id < columns) g[id] = T(d > 0) - T(d < 0);
          return abs_(d);
        },
        x, y, ids + o);
    team.one([&] { loss[row] = l; });
  }
};

}  // namespace retort
