#include "losses/coarse.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace retort {
namespace {

constexpr int kMostInMatrix = 16384;  // classes
constexpr int kBlock = 1 << 22;       // distances that exist at a time

// Distances between rows of f64 embeddings e (V, D), a block at a time: use(first, count, d) with
// d (count, V - first) of row first + k to row first + j; 0 where j <= k.
template <class Use>
void each_block(const Tensor& e, Use use) {
  int V = e.dim(0);
  std::vector<double> squares = sum(mul(e, e), 1).values();
  for (int first = 0, count; first < V; first += count) {
    count = std::min(V - first, std::max(1, kBlock / (V - first)));
    Tensor rest = slice(e, 0, first, V - first);
    Tensor block = matmul(slice(e, 0, first, count), transpose(rest));
    double* d = block.data<double>();
    size_t n = size_t(V - first);
#pragma omp parallel for
    for (int k = 0; k < count; k++) {
      double *row = d + size_t(k) * n, own = squares[size_t(first + k)];
      const double* other = &squares[size_t(first)];
      for (size_t j = 0; j < n; j++) row[j] = std::sqrt(std::max(0.0, own + other[j] - 2 * row[j]));
      std::fill(row, row + k + 1, 0.0);
    }
    use(first, count, static_cast<const double*>(d));
  }
}

void add_likeliest(const double* x, int V, int top, std::vector<int>& order,
                   std::vector<int>& ids) {
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + top, order.begin() + V,
                    [&](int a, int b) { return x[a] != x[b] ? x[a] > x[b] : a < b; });
  for (int k = 0; k < top; k++)
    if (std::find(ids.begin(), ids.end(), order[size_t(k)]) == ids.end())
      ids.push_back(order[size_t(k)]);
}

}  // namespace

ClassCosts::ClassCosts(ClassCost kind, int V) : kind_(kind), V_(V) {
  ENSURE(kind != ClassCost::matrix,
         "cost matrix: expected a tensor of the logits' classes, got none");
  for (int i = 0; i < V; i++) {
    double below = i, above = V - 1 - i;
    row_sums_.push_back(
        kind == ClassCost::zero_one ? V - 1 : (below * (below + 1) + above * (above + 1)) / 2);
  }
  column_sums_ = row_sums_;
}

ClassCosts::ClassCosts(const Tensor& matrix) : kind_(ClassCost::matrix), V_(matrix.dim(0)) {
  ENSURE(matrix.rank() == 2 && matrix.dim(0) == matrix.cols(),
         "cost matrix: expected a tensor (V, V), got " + text(matrix.shape));
  matrix_ = matrix.detach(), numbers_ = matrix.values();
  row_sums_.assign(size_t(V_), 0), column_sums_ = row_sums_;
  for (int i = 0; i < V_; i++)
    for (int j = 0; j < V_; j++) {
      double c = (*this)(i, j);
      ENSURE(std::isfinite(c), fmt::format("cost of classes {} and {} is {}", i, j, c));
      row_sums_[size_t(i)] += c, column_sums_[size_t(j)] += c;
    }
}

ClassCosts ClassCosts::of_embeddings(const Tensor& embeddings) {
  NoGrad quiet;
  Tensor e = contiguous(embeddings.detach()).to(Device::cpu).to(Dtype::f64);
  ClassCosts c(ClassCost::zero_one, e.dim(0));
  c.kind_ = ClassCost::matrix, c.width_ = size_t(e.cols()), c.numbers_ = e.values();
  std::vector<double> sums(size_t(c.V_), 0), largest(size_t(c.V_), 0);
  each_block(e, [&](int first, int count, const double* d) {
    size_t n = size_t(c.V_ - first);
#pragma omp parallel for
    for (int k = 0; k < count; k++) {
      const double* row = d + size_t(k) * n;
      double total = 0, most = 0;
#pragma omp simd reduction(+ : total) reduction(max : most)
      for (size_t j = 0; j < n; j++) total += row[j], most = std::max(most, row[j]);
      sums[size_t(first + k)] += total, largest[size_t(first + k)] = most;
    }
#pragma omp parallel for
    for (size_t j = 0; j < n; j++)  // each pair stands once: the other of it
      for (int k = 0; k < count; k++) sums[size_t(first) + j] += d[size_t(k) * n + j];
  });
  double most = *std::max_element(largest.begin(), largest.end());
  c.largest_ = most > 0 ? most : 1;
  for (double& s : sums) s /= c.largest_;
  c.row_sums_ = c.column_sums_ = std::move(sums);
  return c;
}

double ClassCosts::operator()(int i, int j) const {
  if (kind_ != ClassCost::matrix) return kind_ == ClassCost::abs ? std::abs(i - j) : i != j;
  if (!width_) return numbers_[size_t(i) * size_t(V_) + size_t(j)];
  const double *a = &numbers_[size_t(i) * width_], *b = &numbers_[size_t(j) * width_];
  double square = 0;
#pragma omp simd reduction(+ : square)
  for (size_t d = 0; d < width_; d++) square += (a[d] - b[d]) * (a[d] - b[d]);
  return std::sqrt(square) / largest_;
}

Tensor ClassCosts::matrix(Dtype dtype, Device device) const {
  if (matrix_.defined()) return matrix_.to(dtype).to(device);
  ENSURE(
      V_ <= kMostInMatrix,
      fmt::format("cost between {} classes: their matrix is too large, {} are the most; take the "
                  "likeliest of each row, top=16",
                  V_, kMostInMatrix));
  size_t n = size_t(V_);
  std::vector<double> c(n * n, 0);
  if (width_)
    each_block(Tensor::from(numbers_, {V_, int(width_)}, Dtype::f64),
               [&](int first, int count, const double* d) {
                 for (int k = 0; k < count; k++)
                   for (size_t i = size_t(first + k), j = i + 1; j < n; j++)
                     c[i * n + j] = c[j * n + i] =
                         d[size_t(k) * (n - size_t(first)) + j - size_t(first)] / largest_;
               });
  for (int i = 0; i < V_ && !width_; i++)
    for (int j = 0; j < V_; j++) c[size_t(i) * n + size_t(j)] = (*this)(i, j);
  return matrix_ = Tensor::from(c, {V_, V_}, dtype, device);
}

std::vector<double> ClassCosts::among(const std::vector<int>& ids, size_t slots) const {
  size_t n = slots + 1, bucket = slots;
  double others = std::max(1.0, double(V_) - double(ids.size()));
  std::vector<double> c(n * n, 0);
  for (size_t i = 0; i < ids.size(); i++)
    for (size_t j = 0; j < ids.size(); j++) c[i * n + j] = (*this)(ids[i], ids[j]);
  for (size_t i = 0; i < ids.size(); i++) {
    double to = row_sums_[size_t(ids[i])], from = column_sums_[size_t(ids[i])];
    for (size_t j = 0; j < ids.size(); j++) to -= c[i * n + j], from -= c[j * n + i];
    c[i * n + bucket] = to / others, c[bucket * n + i] = from / others;
  }
  return c;
}

Coarse coarse(const Tensor& student, const Tensor& teacher, int top, const ClassCosts& costs) {
  int N = student.dim(0), V = student.cols(), slots = 2 * std::min(top, V);
  ENSURE(top > 0, "coarse: top must be positive, got " + std::to_string(top));
  ENSURE(costs.size() == V,
         fmt::format("coarse: costs of {} classes for rows of {}", costs.size(), V));
  std::vector<double> q = student.values(), p = teacher.values();
  size_t n = size_t(slots), square = (n + 1) * (n + 1);
  std::vector<int> places(size_t(N) * n, 0), unused(places.size(), 1), chosen(q.size(), 0);
  std::vector<double> c(size_t(N) * square, 0);
#pragma omp parallel for
  for (int row = 0; row < N; row++) {
    size_t start = size_t(row) * size_t(V);
    std::vector<int> ids, order(size_t(V), 0);
    add_likeliest(&q[start], V, slots / 2, order, ids);
    add_likeliest(&p[start], V, slots / 2, order, ids);
    for (int id : ids) chosen[start + size_t(id)] = 1;
    for (size_t k = 0; k < n; k++) {
      places[size_t(row) * n + k] = int(start) + (k < ids.size() ? ids[k] : 0);
      unused[size_t(row) * n + k] = k >= ids.size();
    }
    std::vector<double> among = costs.among(ids, n);
    std::copy(among.begin(), among.end(), c.begin() + long(size_t(row) * square));
  }
  Device device = student.device();
  Tensor place = Tensor::from(places, {N, slots}, device),
         nobody = Tensor::from(unused, {N, slots}, device),
         inside = Tensor::from(chosen, {N, V}, device);
  auto merged = [&](const Tensor& x) {
    Tensor of_classes = reshape(embedding(reshape(x, {-1, 1}), place), {N, slots}),
           rest = logsumexp(masked_fill(x, inside, -INFINITY));
    return concat({masked_fill(of_classes, nobody, -INFINITY), reshape(rest, {N, 1})}, 1);
  };
  return {merged(student), merged(teacher),
          Tensor::from(c, {N, slots + 1, slots + 1}, student.dtype, device)};
}

}  // namespace retort
