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

// The numbers of one parameter in a flat buffer.
Tensor part(const Tensor& buffer, const Parameter& p) {
  return reshape(slice(buffer, 0, int(p.start), int(p.value.size())), p.value.shape);
}

}  // namespace

Parameters::Parameters(uint64_t seed, Dtype dtype, Device device)
    : seed_(seed), dtype_(dtype), device_(device) {}

Tensor Parameters::add(const std::string& name, Shape shape, double std, double mean) {
  ENSURE(!weights_.defined(), "Parameters: " + name + " declared after flatten()");
  for (const Parameter& p : list_)
    ENSURE(p.name != name, "Parameters: " + name + " declared twice");
  MemoryScope scope(MemoryClass::weights);
  Tensor host(shape, real_of(dtype_), Device::cpu);
  RandomKey key{seed_ ^ hash_of(name)};
  size_t n = host.size();
  dispatch_real(host.dtype, [&]<class T>(T) {
    T* v = host.data<T>();
#pragma omp parallel for if (n > 16384)
    for (size_t i = 0; i < n; i++)
      v[i] = T(std == 0 ? mean : mean + std * normal(key, uint32_t(i >> 32), uint32_t(i)));
  });
  masters_.push_back(host.to(device_));
  list_.push_back({name, parameter(masters_.back().to(dtype_)), shape.size() >= 2});
  return list_.back().value;
}

void Parameters::flatten() {
  ENSURE(!weights_.defined(), "Parameters: flatten() called twice");
  size_t unit = 64 / size_of(dtype_), total = 0;
  for (Parameter& p : list_) {
    p.start = total;
    total += (p.value.size() + unit - 1) / unit * unit;
  }
  ENSURE(total < (1ull << 31), "Parameters: more than 2^31 numbers");
  Dtype real = real_of(dtype_);
  auto buffer = [&](MemoryClass what, Dtype dtype) {
    MemoryScope scope(what);
    return Tensor::zeros({int(total)}, dtype, device_);
  };
  weights_ = buffer(MemoryClass::weights, real), grads_ = buffer(MemoryClass::gradients, real);
  if (real != dtype_) copy_ = buffer(MemoryClass::weights, dtype_);
  for (size_t i = 0; i < list_.size(); i++) {
    size_t start = list_[i].start;
    masters_[i].storage->move_into(weights_.storage, start * size_of(real));
    Tensor& v = list_[i].value;  // without a copy its storage is the master's
    if (copy_.defined()) v.storage->move_into(copy_.storage, start * size_of(dtype_));
    v.node->grad = part(grads_, list_[i]);
  }
  masters_.clear();
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

Tensor Parameters::master(const Parameter& p) const {
  ENSURE(weights_.defined(), "Parameters: " + p.name + " used before flatten()");
  return part(weights_, p);
}

void Parameters::zero_grads() {
  device_zero(device_, grads_.storage->data, grads_.size() * size_of(grads_.dtype));
}

void Parameters::drop_grads() {
  for (Parameter& p : list_) p.value.node->grad = {};
  grads_ = {};
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
    Tensor v = master((*this)[name]), from = value.to(v.dtype);
    device_copy(device_, v.bytes(), from.device(), from.bytes(), v.size() * size_of(v.dtype));
  }
  if (!copy_.defined()) return;
  Tensor rounded = weights_.to(dtype_);
  device_copy(device_, copy_.bytes(), device_, rounded.bytes(), copy_.size() * size_of(dtype_));
}

std::map<std::string, Tensor> Parameters::values() const {
  std::map<std::string, Tensor> m;
  for (const Parameter& p : list_) m[p.name] = master(p);
  return m;
}

}  // namespace retort
