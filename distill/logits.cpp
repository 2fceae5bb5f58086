#include "distill/logits.h"

#include <fmt/core.h>

#include <cmath>

namespace retort {

Tensor logits_in(const TensorFile& file, const std::string& path, const char* name, Dtype dtype,
                 Device device) {
  auto found = file.tensors.find(name);
  if (found == file.tensors.end())
    throw std::runtime_error(path + ": has no tensor \"" + name + "\"");
  if (found->second.rank() != 2 || found->second.dtype == Dtype::i32)
    throw std::runtime_error(path + ": tensor " + name +
                             " must be F32 or F64 of shape (N, V), it is " +
                             name_of(found->second.dtype) + " " + text(found->second.shape));
  // Beyond this, differences of logits leave float32; -inf says that a token cannot occur.
  std::vector<double> x = found->second.values();
  for (size_t i = 0; i < x.size(); i++)
    if (std::isfinite(x[i]) && std::abs(x[i]) > 1e25)
      throw std::runtime_error(fmt::format(
          "{}: tensor {}: row {}, token {}: logit {} is out of range (1e25); -inf excludes a token",
          path, name, i / size_t(found->second.cols()), i % size_t(found->second.cols()), x[i]));
  return Tensor::from(x, found->second.shape, dtype, device);
}

Tensor mask_in(const TensorFile& file, const std::string& path, int rows, Device device) {
  auto found = file.tensors.find("mask");
  if (found == file.tensors.end()) return {};
  if (found->second.dtype != Dtype::i32 || found->second.shape != Shape{rows})
    throw std::runtime_error(
        fmt::format("{}: tensor mask must be U8, BOOL or I64 of shape ({}), it is {} {}", path,
                    rows, name_of(found->second.dtype), text(found->second.shape)));
  return Tensor::from(found->second.ints(), {rows}, device);
}

}  // namespace retort
