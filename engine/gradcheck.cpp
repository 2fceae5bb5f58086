#include "engine/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "engine/ops.h"

namespace retort {

Tensor random_tensor(Shape shape, uint64_t seed, double std, double mean, Device device) {
  Tensor x(shape, Dtype::f64);
  double* v = x.data<double>();
  for (size_t i = 0; i < x.size(); i++) v[i] = mean + std * normal({seed}, 0, uint32_t(i));
  return x.to(device);
}

GradResult check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                           const std::vector<Tensor>& inputs, const GradOptions& options) {
  std::vector<Tensor> x;
  for (const Tensor& input : inputs)
    x.push_back(parameter(input.to(Dtype::f64).to(options.device)));
  Tensor y = f(x), dy = random_tensor(y.shape, options.seed + 1000, 1, 0, options.device);
  backward(y, dy);
  auto value = [&] {  // <dy, f(x)>, whose gradient backward() computed
    NoGrad quiet;
    std::vector<double> a = f(x).values(), b = dy.values();
    double s = 0;
    for (size_t i = 0; i < a.size(); i++) s += a[i] * b[i];
    return s;
  };
  GradResult result;
  for (size_t k = 0; k < x.size(); k++) {
    std::vector<double> analytic = grad(x[k]).values(), numeric(x[k].size()), v = x[k].values();
    auto put = [&](size_t i, double number) {
      device_copy(options.device, x[k].data<double>() + i, Device::cpu, &number, sizeof number);
    };
    size_t stride = 1 + x[k].size() / size_t(options.elements), worst = 0;
    double largest = 1e-3, difference = -1;
    for (size_t i = 0; i < x[k].size(); i += stride) {
      double kept = v[i], h = options.step, at[4];
      for (int p = 0; p < 4; p++) {
        put(i, kept + h * (p == 0 ? -2 : p == 1 ? -1 : p == 2 ? 1 : 2));
        at[p] = value();
      }
      put(i, kept);
      numeric[i] = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h);
      largest = std::max(largest, std::fabs(numeric[i]));
      double d = std::fabs(analytic[i] - numeric[i]);
      if (!std::isfinite(d)) d = INFINITY;  // NaN compares with nothing: it is the worst there is
      if (d > difference) difference = d, worst = i;
    }
    if (x[k].size() == 0) continue;
    double error = difference / largest;
    if (error > result.error) {
      result.error = error;
      result.where = "input " + std::to_string(k) + ", element " + std::to_string(worst) +
                     ": analytic " + std::to_string(analytic[worst]) + ", numeric " +
                     std::to_string(numeric[worst]);
    }
  }
  return result;
}

}  // namespace retort
