// Lookups by index: embedding, gather and columns. The embedding's backward adds rows in the order
// of their ids: each table row has one owner, so the sum is the same for any number of threads.
#include <algorithm>
#include <numeric>

#include "engine/map.h"

namespace retort {
namespace {

template <class T>
struct TakeRow {
  const T* table;
  const int* ids;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    copy(team, n, table + size_t(ids[row]) * n, y + size_t(row) * n);
  }
};
template <class T>
struct ScatterRow {  // row r of `firsts`: all places of one id, in order
  const T* dy;
  const int *order, *firsts, *ids;
  Real<T>* table;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    int begin = firsts[row], end = firsts[row + 1];
    using R = Real<T>;
    R* b = table + size_t(ids[order[begin]]) * n;
    for (int k = begin; k < end; k++)
      team.each(
          n, [](int, R d, R& sum) { sum += d; }, dy + size_t(order[k]) * n, inout(b));
  }
};
template <class T>
struct Pick {
  const T* x;
  const int* ids;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    team.one([&] { y[row] = x[size_t(row) * n + ids[row]]; });
  }
};
template <class T>
struct PickBackward {
  const T* dy;
  const int* ids;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    R g = dy[row];
    int id = ids[row];
    team.each(
        n, [&](int i, R& d) { d = i == id ? g : R(0); }, out(dx + size_t(row) * n));
  }
};

template <class T>
struct PickColumns {
  const T* x;
  const int* ids;
  T* y;
  int n, K;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row) * n;
    T* b = y + size_t(row) * K;
    team.each(
        K, [&](int k, int id) { b[k] = a[id]; }, ids);
  }
};
template <class T>
struct PutColumns {
  const T* dy;
  const int* ids;
  T* dx;
  int n, K;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = dy + size_t(row) * K;
    T* b = dx + size_t(row) * n;
    team.each(
        K, [&](int k, int id) { b[id] = a[k]; }, ids);
  }
};

template <class T>
struct StoreRow {
  const T* x;
  const int* positions;
  T* cache;
  int length, capacity, n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    copy(team, n, x + size_t(row) * n,
         cache + (size_t(row / length) * capacity + positions[row]) * n);
  }
};

template <class T>
struct ReorderRow {
  const T* cache;
  const int* order;
  T* y;
  size_t distance;  // between rows
  int n;            // of a row's numbers, so many are copied
  template <class Team>
  HD void operator()(Team team, int row) const {
    copy(team, n, cache + size_t(order[row]) * distance, y + size_t(row) * distance);
  }
};

void check_ids(const char* name, const std::vector<int>& ids, int size) {
  for (size_t i = 0; i < ids.size(); i++)
    ENSURE(ids[i] >= 0 && ids[i] < size, std::string(name) + ": id " + std::to_string(ids[i]) +
                                             " at position " + std::to_string(i) +
                                             " is outside [0, " + std::to_string(size) + ")");
}

}  // namespace

Tensor embedding(const Tensor& table, const Tensor& ids_in) {
  ENSURE(table.rank() == 2 && ids_in.dtype == Dtype::i32,
         "embedding: expected a table (V, C) and i32 ids, got " + text(table.shape) + " and " +
             name_of(ids_in.dtype) + " " + text(ids_in.shape));
  Tensor w = contiguous(table.detach()), ids = contiguous(ids_in);
  std::vector<int> id = ids.ints();
  check_ids("embedding", id, table.dim(0));
  Shape shape = ids.shape;
  shape.push_back(w.cols());
  Tensor y(shape, w.dtype, w.device());
  dispatch(w.dtype, [&]<class T>(T) {
    rows(w.device(), int(ids.size()),
         TakeRow<T>{w.data<T>(), ids.data<int>(), y.data<T>(), w.cols()});
  });
  return record("embedding", y, {table}, [ids, id, shape = table.shape](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dw = Tensor::zeros(shape, real_of(dy.dtype), dy.device());
    std::vector<int> order(id.size()), firsts;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return id[size_t(a)] < id[size_t(b)]; });
    for (size_t k = 0; k < order.size(); k++)
      if (k == 0 || id[size_t(order[k])] != id[size_t(order[k - 1])]) firsts.push_back(int(k));
    int count = int(firsts.size());
    firsts.push_back(int(order.size()));
    Tensor by_id = Tensor::from(order, {int(order.size())}, dy.device());
    Tensor begin = Tensor::from(firsts, {count + 1}, dy.device());
    dispatch(dy.dtype, [&]<class T>(T) {
      rows(dy.device(), count,
           ScatterRow<T>{dy.data<T>(), by_id.data<int>(), begin.data<int>(), ids.data<int>(),
                         dw.data<Real<T>>(), shape[1]});
    });
    return Grads{dw};
  });
}

Tensor gather(const Tensor& x_in, const Tensor& ids_in) {
  Shape lead(x_in.shape.begin(), x_in.shape.end() - (x_in.rank() ? 1 : 0));
  ENSURE(x_in.rank() >= 1 && ids_in.dtype == Dtype::i32 && ids_in.shape == lead,
         "gather: expected x (..., V) and i32 ids (...), got " + text(x_in.shape) + " and " +
             text(ids_in.shape));
  Tensor x = contiguous(x_in), ids = contiguous(ids_in), y(ids.shape, x.dtype, x.device());
  check_ids("gather", ids.ints(), x.cols());
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(), Pick<T>{x.data<T>(), ids.data<int>(), y.data<T>(), x.cols()});
  });
  return record("gather", y, {x}, [ids, shape = x.shape](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx(shape, dy.dtype, dy.device());
    dispatch(dy.dtype, [&]<class T>(T) {
      rows(dy.device(), dx.rows(),
           PickBackward<T>{dy.data<T>(), ids.data<int>(), dx.data<T>(), dx.cols()});
    });
    return Grads{dx};
  });
}

Tensor columns(const Tensor& x_in, const std::vector<int>& ids) {
  ENSURE(x_in.rank() >= 1 && !ids.empty(), "columns: expected x (..., V) and ids, got " +
                                               text(x_in.shape) + " and " +
                                               std::to_string(ids.size()) + " ids");
  check_ids("columns", ids, x_in.cols());
  std::vector<int> sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  ENSURE(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end(),
         "columns: an id stands twice");
  Tensor x = contiguous(x_in), at = Tensor::from(ids, {int(ids.size())}, x.device());
  Shape shape = x.shape;
  shape.back() = int(ids.size());
  Tensor y(shape, x.dtype, x.device());
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(),
         PickColumns<T>{x.data<T>(), at.data<int>(), y.data<T>(), x.cols(), y.cols()});
  });
  return record("columns", y, {x}, [at, shape = x.shape](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx = Tensor::zeros(shape, dy.dtype, dy.device());
    dispatch(dy.dtype, [&]<class T>(T) {
      rows(dy.device(), dy.rows(),
           PutColumns<T>{dy.data<T>(), at.data<int>(), dx.data<T>(), dx.cols(), dy.cols()});
    });
    return Grads{dx};
  });
}

void store(const Tensor& cache, const Tensor& x_in, const Tensor& positions_in) {
  ENSURE(cache.is_contiguous() && cache.rank() >= 2 && x_in.rank() == cache.rank() &&
             x_in.dim(0) == cache.dim(0) &&
             Shape(x_in.shape.begin() + 2, x_in.shape.end()) ==
                 Shape(cache.shape.begin() + 2, cache.shape.end()) &&
             positions_in.shape == Shape({x_in.dim(0), x_in.dim(1)}) &&
             positions_in.dtype == Dtype::i32 && x_in.dtype == cache.dtype,
         "store: expected x (B, T, ...) of the cache's type and i32 positions (B, T) for a cache "
         "(B, capacity, ...), got " +
             text(x_in.shape) + ", " + text(positions_in.shape) + " and " + text(cache.shape));
  NoGrad quiet;
  Tensor x = contiguous(x_in.detach()), positions = contiguous(positions_in);
  check_ids("store", positions.ints(), cache.dim(1));
  int count = x.dim(0) * x.dim(1);
  if (!count) return;
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), count,
         StoreRow<T>{x.data<T>(), positions.data<int>(), cache.data<T>(), x.dim(1), cache.dim(1),
                     int(x.size() / size_t(count))});
  });
}

Tensor reorder(const Tensor& cache, const std::vector<int>& order, int length) {
  ENSURE(cache.is_contiguous() && cache.rank() >= 2 && length <= cache.dim(1),
         "reorder: expected a cache (B, capacity, ...), capacity " + std::to_string(length) +
             " or more, got " + text(cache.shape));
  check_ids("reorder", order, cache.dim(0));
  Shape shape = cache.shape;
  shape[0] = int(order.size());
  MemoryScope scope(MemoryClass::cache);
  Tensor y(shape, cache.dtype, cache.device());
  if (order.empty()) return y;
  Tensor rows_of = Tensor::from(order, {int(order.size())}, cache.device());
  size_t distance = cache.size() / size_t(cache.dim(0));
  dispatch(cache.dtype, [&]<class T>(T) {
    rows(cache.device(), int(order.size()),
         ReorderRow<T>{cache.data<T>(), rows_of.data<int>(), y.data<T>(), distance,
                       int(distance / size_t(cache.dim(1)) * size_t(length))});
  });
  return y;
}

}  // namespace retort
