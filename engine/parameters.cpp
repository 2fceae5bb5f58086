#include "engine/parameters.h"

#include <algorithm>

#include "engine/suggest.h"
#include "kernels/random.h"

namespace retort {
namespace {

uint64_t hash_of(const std::string& name) {  // FNV-1a, the same everywhere
  uint64_t h = 14695981039346656037ull;
  for (unsigned char c : name) h = (h ^ c) * 1099511628211ull;
  return h;
}

}  // namespace

Parameters::Parameters(uint64_t seed, Dtype dtype, Device device)
    : seed_(seed), dtype_(dtype), device_(device) {}

Tensor Parameters::add(const std::string& name, Shape shape, double std, double mean) {
  ENSURE(!weights_.defined(), "Parameters: " + name + " declared after flatten()");
  for (const Parameter& p : list_)
    ENSURE(p.name != name, "Parameters: " + name + " declared twice");
  Tensor host(shape, dtype_, Device::cpu);
  RandomKey key{seed_ ^ hash_of(name)};
  size_t n = host.size();
  dispatch_real(dtype_, [&]<class T>(T) {
    T* v = host.data<T>();
#pragma omp parallel for if (n > 16384)
    for (size_t i = 0; i < n; i++)
      v[i] = T(std == 0 ? mean : mean + std * normal(key, uint32_t(i >> 32), uint32_t(i)));
  });
  Tensor value(shape, dtype_, device_);
  device_copy(device_, value.storage->data, Device::cpu, host.storage->data, n * size_of(dtype_));
  list_.push_back({name, parameter(value), shape.size() >= 2});
  return list_.back().value;
}

void Parameters::flatten() {
  ENSURE(!weights_.defined(), "Parameters: flatten() called twice");
  size_t unit = 64 / size_of(dtype_), total = 0;
  std::vector<size_t> starts;
  for (const Parameter& p : list_) {
    starts.push_back(total);
    total += (p.value.size() + unit - 1) / unit * unit;
  }
  ENSURE(total < (1ull << 31), "Parameters: more than 2^31 numbers");
  weights_ = Tensor::zeros({int(total)}, dtype_, device_);
  grads_ = Tensor::zeros({int(total)}, dtype_, device_);
  for (size_t i = 0; i < list_.size(); i++) {
    Tensor& v = list_[i].value;
    v.storage->bytes = v.size() * size_of(dtype_);
    v.storage->move_into(weights_.storage, starts[i] * size_of(dtype_));
    Tensor g = v.detach();  // same shape and strides, in the gradient buffer
    g.storage = grads_.storage;
    g.offset = starts[i];
    v.node->grad = g;
  }
}

const Parameter& Parameters::operator[](const std::string& name) const {
  std::vector<std::string> names;
  for (const Parameter& p : list_) {
    if (p.name == name) return p;
    names.push_back(p.name);
  }
  std::string near = nearest(name, names);
  fail("no parameter \"" + name + "\"" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

size_t Parameters::count() const {
  size_t n = 0;
  for (const Parameter& p : list_) n += p.value.size();
  return n;
}

void Parameters::zero_grads() {
  device_zero(device_, grads_.storage->data, grads_.size() * size_of(dtype_));
}

void Parameters::load(const std::map<std::string, Tensor>& values, bool partial) {
  for (const auto& [name, value] : values) {
    const Parameter& p = (*this)[name];
    ENSURE(p.value.shape == value.shape, "parameter " + name + " has shape " + text(value.shape) +
                                             " in the file, " + text(p.value.shape) +
                                             " in the model");
  }
  if (!partial)
    for (const Parameter& p : list_)
      ENSURE(values.count(p.name), "parameter " + p.name + " is missing in the file");
  for (const auto& [name, value] : values) {
    Tensor v = (*this)[name].value, from = value.to(v.dtype);
    device_copy(v.device(), static_cast<char*>(v.storage->data) + v.offset * size_of(v.dtype),
                from.device(),
                static_cast<char*>(from.storage->data) + from.offset * size_of(from.dtype),
                v.size() * size_of(v.dtype));
  }
}

std::map<std::string, Tensor> Parameters::values() const {
  std::map<std::string, Tensor> m;
  for (const Parameter& p : list_) m[p.name] = p.value.detach();
  return m;
}

}  // namespace retort
