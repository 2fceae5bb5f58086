// A Tensor is a strided view of shared storage, with a type and a device; with a Node behind it, it
// has a gradient. Copies are cheap and share the numbers.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/check.h"
#include "engine/memory.h"
#include "kernels/bf16.h"

namespace retort {

enum class Dtype { f32, f64, bf16, i32 };
size_t size_of(Dtype dtype);
const char* name_of(Dtype dtype);
/// The type in which kernels compute on tensors of this one: f32 for bf16, itself otherwise.
inline Dtype real_of(Dtype dtype) { return dtype == Dtype::bf16 ? Dtype::f32 : dtype; }

using Shape = std::vector<int>;
struct Node;

/// Memory that lives as long as a tensor looks at it.
struct Storage {
  Device device;
  void* data;
  size_t bytes;
  std::shared_ptr<Storage> owner;  ///< when set, `data` lies within the owner's memory
  /// On a device: the numbers of an i32 tensor made from host numbers, which nothing writes. They
  /// are read here, without waiting for the device.
  std::vector<int> host_ints;
  Storage(Device device, size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  /// Moves these bytes into `into` at `offset` and lets go of the own memory: every tensor that
  /// looks at this storage then looks there. How parameters get into one flat buffer.
  void move_into(const std::shared_ptr<Storage>& into, size_t offset);

 private:
  Allocation block_;
};

template <class T>
constexpr Dtype dtype_of();
template <>
constexpr Dtype dtype_of<float>() {
  return Dtype::f32;
}
template <>
constexpr Dtype dtype_of<double>() {
  return Dtype::f64;
}
template <>
constexpr Dtype dtype_of<bf16>() {
  return Dtype::bf16;
}
template <>
constexpr Dtype dtype_of<int>() {
  return Dtype::i32;
}

struct Tensor {
  std::shared_ptr<Storage> storage;
  std::shared_ptr<Node> node;  ///< null: no gradient is wanted
  Shape shape;
  std::vector<size_t> strides;  ///< in elements; 0 where broadcast
  size_t offset = 0;            ///< in elements
  Dtype dtype = Dtype::f32;

  Tensor() = default;
  /// Uninitialised and contiguous.
  Tensor(Shape shape, Dtype dtype, Device device = Device::cpu);
  /// From host numbers, converted to `dtype`.
  static Tensor from(const std::vector<double>& values, Shape shape, Dtype dtype = Dtype::f32,
                     Device device = Device::cpu);
  /// An index tensor, never written: ints() of it and of its views does not wait for the device.
  static Tensor from(const std::vector<int>& values, Shape shape, Device device = Device::cpu);
  static Tensor zeros(Shape shape, Dtype dtype = Dtype::f32, Device device = Device::cpu);
  static Tensor full(Shape shape, double value, Dtype dtype = Dtype::f32,
                     Device device = Device::cpu);

  bool defined() const { return bool(storage); }
  size_t size() const;
  int rank() const { return int(shape.size()); }
  /// Extent of dimension i; negative counts from the last.
  int dim(int i) const { return shape[size_t(i < 0 ? i + rank() : i)]; }
  int cols() const { return shape.empty() ? 1 : shape.back(); }  ///< extent of the last dimension
  int rows() const { return cols() ? int(size() / size_t(cols())) : 0; }  ///< product of the others
  Device device() const { return storage->device; }
  bool is_contiguous() const;

  /// First element. Kernels walk contiguous tensors only: call contiguous() (engine/ops.h) first.
  template <class T>
  T* data() const {
    if (dtype != dtype_of<std::remove_const_t<T>>()) wrong_type(dtype_of<std::remove_const_t<T>>());
    return static_cast<T*>(storage->data) + offset;
  }
  /// The same without the type.
  void* bytes() const { return static_cast<char*>(storage->data) + offset * size_of(dtype); }
  /// A new uninitialised contiguous tensor of this shape, type and device.
  Tensor like() const { return Tensor(shape, dtype, device()); }
  /// The same numbers without a gradient.
  Tensor detach() const;
  /// The same numbers in another type, contiguous, not recorded; shares memory where nothing
  /// changes.
  Tensor to(Dtype dtype) const;
  /// The same on another device; itself where it lies there.
  Tensor to(Device device) const;

  std::vector<double> values() const;  ///< all numbers on the host, in row-major order
  std::vector<int> ints() const;       ///< the same of an i32 tensor
  double item() const;                 ///< the number of a tensor of size 1

 private:
  [[noreturn]] void wrong_type(Dtype asked) const;
};

/// f(float()) or f(double()) by type; anything else is an error.
template <class F>
auto dispatch_real(Dtype dtype, F f) {
  if (dtype == Dtype::f64) return f(double());
  if (dtype != Dtype::f32) fail(std::string("expected f32 or f64, got ") + name_of(dtype));
  return f(float());
}
/// f(float()), f(double()) or f(bf16()) by type; anything else is an error.
template <class F>
auto dispatch(Dtype dtype, F f) {
  if (dtype == Dtype::bf16) return f(bf16());
  if (dtype == Dtype::i32) fail("no arithmetic on tensors of type i32");
  return dispatch_real(dtype, f);
}

}  // namespace retort
