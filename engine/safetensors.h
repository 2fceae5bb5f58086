// The safetensors format: u64 header length, JSON header, bytes. Read (memory-mapped) and written,
// whole or row by row.
#pragma once
#include <map>
#include <string_view>

#include "engine/tensor.h"

namespace retort {

struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;  ///< the header's "__metadata__"
};

/// What a file says of a tensor before its numbers.
struct TensorSpec {
  Dtype dtype;
  Shape shape;
  bool operator==(const TensorSpec&) const = default;
};

/// An open file, for what is larger than memory. Reads F32, F64, I32; F16 and BF16 become f32, I64,
/// U8 and BOOL become i32 (a value outside is an error). A file may hold tensors of other types; to
/// read one of them is an error. So is, naming file, tensor and position, one that is missing,
/// truncated or lies: each is one std::runtime_error.
class TensorReader {
 public:
  explicit TensorReader(const std::string& path);
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// All tensors, of the types they become.
  const std::map<std::string, TensorSpec>& tensors() const { return specs_; }
  /// The type of a tensor's numbers in the file ("BF16"), and their bytes as they lie there.
  std::string stored_type(const std::string& name) const;
  std::string_view stored(const std::string& name) const;
  /// Throws where save_safetensors() wrote the file and its numbers are others now.
  void check() const;
  /// A whole tensor; or `count` of its rows from `first` on (of its first dimension).
  Tensor read(const std::string& name) const;
  Tensor read(const std::string& name, size_t first, size_t count) const;
  /// The numbers of these rows in float64, of every type of the format; none of those that are
  /// packed (F4, F6), complex or unknown here.
  std::vector<double> values(const std::string& name, size_t first, size_t count) const;

 private:
  const char* at(const std::string& name, size_t first, size_t count) const;
  struct Mapping;
  std::shared_ptr<Mapping> mapping_;
  std::map<std::string, TensorSpec> specs_;
  std::map<std::string, std::string> metadata_;
};

/// Reads all of a file, after check().
TensorFile load_safetensors(const std::string& path);

/// Writes a file whose tensors come row by row, in any order: beside `path`, through a symbolic
/// link, and renamed by finish(); what is no regular file is not replaced. Without finish() nothing
/// stays. Tensors in name order, data aligned to 64 bytes.
class TensorWriter {
 public:
  TensorWriter(const std::string& path, std::map<std::string, TensorSpec> tensors,
               const std::map<std::string, std::string>& metadata);
  ~TensorWriter();
  TensorWriter(const TensorWriter&) = delete;
  /// `rows` (n, ...) are rows `first`, ..., `first` + n - 1 of a tensor.
  void write(const std::string& name, const Tensor& rows, size_t first = 0);
  void finish();

 private:
  void abandon();
  std::string path_, temporary_;
  std::map<std::string, TensorSpec> specs_;
  std::map<std::string, size_t> begins_;  // of each tensor in the file
  size_t end_ = 0, written_ = 0;
  int file_ = -1;
};

/// Writes all of a file at once, with a checksum of its numbers in the metadata.
void save_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                      std::map<std::string, std::string> metadata = {});

}  // namespace retort
