// What a safetensors file holds, looked at a piece at a time: teacher caches are larger than
// memory.
#include <algorithm>
#include <cmath>

#include "data/text.h"
#include "distill/contents.h"
#include "engine/safetensors.h"

namespace retort {
namespace {

std::string kind_of(const TensorReader& file) {
  auto format = file.metadata().find("format");
  std::string name = format == file.metadata().end() ? "" : format->second;
  return name == "retort-model"          ? "weights"
         : name == "retort-checkpoint"   ? "checkpoint"
         : name == "retort-teacher-rows" ? "teacher cache"
                                         : "tensors";
}

Contents numbers_of(const TensorReader& file, const std::string& name, const Shape& shape,
                    size_t shown) {
  size_t rows = shape.empty() ? 1 : size_t(shape[0]), width = 1;
  for (size_t i = 1; i < shape.size(); i++) width *= size_t(shape[i]);
  size_t step = std::max<size_t>(1, (1 << 20) / std::max<size_t>(1, width));
  double least = INFINITY, most = -INFINITY, sum = 0;
  size_t finite = 0, others = 0;
  Contents begin = Contents::array();
  for (size_t first = 0; first < rows; first += step)
    for (double x : file.values(name, first, std::min(step, rows - first))) {
      if (begin.size() < shown) begin.push_back(x);
      if (!std::isfinite(x)) {
        others++;
        continue;
      }
      finite++, sum += x;
      least = std::min(least, x), most = std::max(most, x);
    }
  Contents c = {{"first", begin}};
  for (auto [key, value] : {std::pair{"min", least}, {"max", most}, {"mean", sum / double(finite)}})
    c[key] = finite ? Contents(value) : Contents();
  c["non_finite"] = others;
  return c;
}

}  // namespace

Contents tensor_contents(const std::string& path, size_t rows) {
  TensorReader file(path);
  file.check();
  Contents c = {{"kind", kind_of(file)}};
  c["metadata"] = Contents::object();
  for (const auto& [key, value] : file.metadata()) c["metadata"][key] = value;
  size_t numbers = 0, weights = 0;
  Contents list = Contents::array();
  for (const auto& [name, spec] : file.tensors()) {
    std::string_view bytes = file.stored(name);
    size_t count = 1;
    for (int extent : spec.shape) count *= size_t(extent);
    numbers += count, weights += name.starts_with("weight.") ? count : 0;
    Contents t = {{"tensor", name}, {"dtype", file.stored_type(name)}, {"shape", spec.shape}};
    t["bytes"] = bytes.size();
    t.update(numbers_of(file, name, spec.shape, rows));
    t["checksum"] = checksum_of(bytes);
    list.push_back(t);
  }
  c["numbers"] = numbers;
  if (c["kind"] == "checkpoint") c["weights"] = weights;
  c["tensors"] = list;
  return c;
}

}  // namespace retort
