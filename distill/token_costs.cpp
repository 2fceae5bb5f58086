#include "distill/token_costs.h"

#include <algorithm>
#include <cmath>

namespace retort {

Tensor token_costs(const Model& model, Dtype dtype) {
  NoGrad quiet;
  Tensor e = model.parameters()["tokens"].value.to(Device::cpu).to(Dtype::f64);
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
  return Tensor::from(costs, {V, V}, dtype).to(model.device());
}

}  // namespace retort
