// A model's parameters: named tensors in one flat buffer, their gradients in another. AdamW,
// gradient norm, zeroing and checkpoints are each one pass over one array.
#pragma once
#include <map>

#include "engine/ops.h"

namespace retort {

struct Parameter {
  std::string name;
  Tensor value;       ///< a view into the flat weights, with a gradient
  bool decay = true;  ///< whether weight decay applies (matrices yes; biases, gains no)
};

class Parameters {
 public:
  explicit Parameters(uint64_t seed = 0, Dtype dtype = Dtype::f32, Device device = Device::cpu);

  /// Declares parameter `name`: mean + N(0, std), drawn from (seed, name), so that it does not
  /// depend on the order of declaration. Matrices decay, vectors do not. Throws on a name declared
  /// twice.
  Tensor add(const std::string& name, Shape shape, double std, double mean = 0);
  /// Moves all into the flat buffers; afterwards add() throws. Each parameter starts at 64 bytes.
  void flatten();

  const std::vector<Parameter>& list() const { return list_; }
  /// The parameter of this name; throws and suggests the nearest name if there is none.
  const Parameter& operator[](const std::string& name) const;
  const Tensor& weights() const { return weights_; }  ///< flat, padding included (zeros)
  const Tensor& grads() const { return grads_; }
  size_t count() const;  ///< numbers, without padding
  void zero_grads();
  /// Copies the named values in; every parameter must be there with its shape unless `partial`, and
  /// nothing else. Errors name the parameter and both shapes.
  void load(const std::map<std::string, Tensor>& values, bool partial = false);
  std::map<std::string, Tensor> values() const;

 private:
  uint64_t seed_;
  Dtype dtype_;
  Device device_;
  std::vector<Parameter> list_;
  Tensor weights_, grads_;
};

}  // namespace retort
