#include "losses/coarse.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace retort {
namespace {

// Costs on the host: one, and sums over a class's row and column.
struct HostCost {
  ClassCost kind;
  int V;
  std::vector<double> matrix, row_sums, column_sums;

  HostCost(ClassCost kind_, int V_, const Tensor& given) : kind(kind_), V(V_) {
    if (kind == ClassCost::matrix) matrix = given.values();
    row_sums.assign(size_t(V), 0), column_sums = row_sums;
    for (int i = 0; i < V; i++) {
      double below = i, above = V - 1 - i;
      row_sums[size_t(i)] = column_sums[size_t(i)] =
          kind == ClassCost::zero_one ? V - 1 : (below * (below + 1) + above * (above + 1)) / 2;
    }
    if (kind != ClassCost::matrix) return;
    std::fill(row_sums.begin(), row_sums.end(), 0), column_sums = row_sums;
    for (int i = 0; i < V; i++)
      for (int j = 0; j < V; j++)
        row_sums[size_t(i)] += (*this)(i, j), column_sums[size_t(j)] += (*this)(i, j);
  }
  double operator()(int i, int j) const {
    if (kind == ClassCost::matrix) return matrix[size_t(i) * size_t(V) + size_t(j)];
    return kind == ClassCost::abs ? std::abs(i - j) : i != j;
  }
  /// Costs (n + 1, n + 1) among `ids` and the bucket of all other classes.
  std::vector<double> among(const std::vector<int>& ids, size_t slots) const {
    size_t n = slots + 1, bucket = slots;
    double others = std::max(1.0, double(V) - double(ids.size()));
    std::vector<double> c(n * n, 0);
    for (size_t i = 0; i < ids.size(); i++) {
      double to = row_sums[size_t(ids[i])], from = column_sums[size_t(ids[i])];
      for (size_t j = 0; j < ids.size(); j++) {
        c[i * n + j] = (*this)(ids[i], ids[j]);
        to -= c[i * n + j], from -= (*this)(ids[j], ids[i]);
      }
      c[i * n + bucket] = to / others, c[bucket * n + i] = from / others;
    }
    return c;
  }
};

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

Tensor class_cost(ClassCost cost, int V, const Tensor& matrix, Dtype dtype, Device device) {
  if (cost == ClassCost::matrix) {
    ENSURE(matrix.defined() && matrix.shape == Shape({V, V}) && matrix.dtype == dtype,
           fmt::format("cost matrix: expected a tensor ({}, {}) of the logits' type, got {}", V, V,
                       matrix.defined() ? text(matrix.shape) : "none"));
    std::vector<double> c = matrix.values();
    for (size_t i = 0; i < c.size(); i++)
      ENSURE(std::isfinite(c[i]),
             fmt::format("cost of classes {} and {} is {}", i / size_t(V), i % size_t(V), c[i]));
    return matrix.detach();
  }
  HostCost at(cost, V, {});
  std::vector<double> c;
  for (int i = 0; i < V; i++)
    for (int j = 0; j < V; j++) c.push_back(at(i, j));
  return Tensor::from(c, {V, V}, dtype, device);
}

Tensor embedding_distances(const Tensor& embeddings, Dtype dtype) {
  NoGrad quiet;
  Tensor e = embeddings.to(Device::cpu).to(Dtype::f64);
  int V = e.dim(0);
  ENSURE(V <= 16384, "cost=matrix: " + std::to_string(V) +
                         " tokens have too many distances; 16,384 are the most");
  std::vector<double> products = matmul(e, transpose(e)).values(), costs(products.size());
  size_t n = size_t(V);
  double largest = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++) {
      double square = products[i * n + i] + products[j * n + j] - 2 * products[i * n + j];
      costs[i * n + j] = costs[j * n + i] = std::sqrt(std::max(0.0, square));
      largest = std::max(largest, costs[i * n + j]);
    }
  if (largest > 0)
    for (double& c : costs) c /= largest;
  return Tensor::from(costs, {V, V}, dtype, embeddings.device());
}

Coarse coarse(const Tensor& student, const Tensor& teacher, int top, ClassCost cost,
              const Tensor& matrix) {
  int N = student.dim(0), V = student.cols(), slots = 2 * std::min(top, V);
  ENSURE(top > 0, "coarse: top must be positive, got " + std::to_string(top));
  if (cost == ClassCost::matrix)
    class_cost(cost, V, matrix, student.dtype, student.device());  // checks it
  HostCost at(cost, V, matrix);
  std::vector<double> q = student.values(), p = teacher.values(), costs;
  std::vector<int> order(size_t(V), 0), places, unused, chosen(size_t(N) * size_t(V), 0);
  for (int row = 0; row < N; row++) {
    size_t start = size_t(row) * size_t(V);
    std::vector<int> ids;
    add_likeliest(&q[start], V, slots / 2, order, ids);
    add_likeliest(&p[start], V, slots / 2, order, ids);
    for (int id : ids) chosen[start + size_t(id)] = 1;
    for (size_t k = 0; k < size_t(slots); k++) {
      places.push_back(int(start) + (k < ids.size() ? ids[k] : 0));
      unused.push_back(k >= ids.size());
    }
    std::vector<double> c = at.among(ids, size_t(slots));
    costs.insert(costs.end(), c.begin(), c.end());
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
          Tensor::from(costs, {N, slots + 1, slots + 1}, student.dtype, device)};
}

}  // namespace retort
