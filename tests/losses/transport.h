// What the tests of transport losses share.
#pragma once
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "engine/gradcheck.h"
#include "losses/transport.h"

namespace retort {

using Numbers = std::vector<double>;
using Parameters = std::vector<std::string>;

struct Computed {
  Numbers loss, grad;
  TransportLoss all;
};
inline Computed compute(const std::string& name, const Parameters& parameters,
                        const Tensor& teacher, const Tensor& student, Dtype dtype = Dtype::f64,
                        const Tensor& mask = {}, Device device = Device::cpu) {
  Tensor s = parameter(student.to(dtype).to(device));
  TransportInputs in;
  in.teacher = teacher.to(dtype).to(device), in.student = s;
  if (mask.defined()) in.mask = mask.to(device);
  TransportLoss loss = transport(parse_transport(name, parameters), in);
  backward(sum(loss.loss));
  return {loss.loss.values(), grad(s).values(), loss};
}
inline double norm(const Numbers& x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.));
}
inline double distance(Numbers x, const Numbers& y) {
  REQUIRE(x.size() == y.size());
  for (size_t i = 0; i < x.size(); i++) x[i] -= y[i];
  return norm(x);
}
inline void check_finite(const Computed& c) {
  for (double x : c.loss) CHECK(std::isfinite(x));
  for (double x : c.grad) CHECK(std::isfinite(x));
}

}  // namespace retort
