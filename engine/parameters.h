// A model's parameters: named tensors in one flat buffer, their gradients in another. AdamW,
// gradient norm, zeroing and checkpoints are each one pass over one array. A bfloat16 model
// computes with a copy: optimizers, files and load() see float32 masters, gradients are float32.
#pragma once
#include <map>

#include "engine/ops.h"

namespace retort {

struct Parameter {
  std::string name;
  Tensor value;       ///< what the model computes with, a view of a flat buffer; has a gradient
  bool decay = true;  ///< whether weight decay applies (matrices yes; biases, gains no)
  size_t start = 0;   ///< its first number in weights(), grads() and copy()
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
  Dtype dtype() const { return dtype_; }
  Device device() const { return device_; }
  const Tensor& weights() const { return weights_; }  ///< flat, padding included (zeros)
  const Tensor& grads() const { return grads_; }      ///< flat, of the weights' type
  /// The weights rounded to bfloat16, which such a model computes with; else undefined.
  const Tensor& copy() const { return copy_; }
  /// The part of weights() that is this parameter, in its shape.
  Tensor master(const Parameter& parameter) const;
  size_t count() const;  ///< numbers, without padding
  void zero_grads();
  /// Lets go of the gradients' buffer, as large as the weights: for a model that is asked and not
  /// trained, such as a teacher. grads() is undefined then, and grad() of a parameter starts anew.
  void drop_grads();
  /// Copies the named values in; every parameter must be there with its shape unless `partial`, and
  /// nothing else. Errors name the parameter and both shapes.
  void load(const std::map<std::string, Tensor>& values, bool partial = false);
  std::map<std::string, Tensor> values() const;  ///< views of weights()

 private:
  uint64_t seed_;
  Dtype dtype_;
  Device device_;
  std::vector<Parameter> list_;
  std::vector<Tensor> masters_;  ///< of list_, until they are flattened
  Tensor weights_, grads_, copy_;
};

}  // namespace retort
