#include "engine/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/number_types.h"

namespace retort {
namespace {

using Json = nlohmann::json;

[[noreturn]] void bad(const std::string& path, const std::string& what) {
  throw std::runtime_error(path + ": " + what);
}

const char kChecksum[] = "checksum";  // of all numbers as they lie in the file

std::string hex(XXH128_hash_t hash) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash.high64,
                (unsigned long long)hash.low64);
  return text;
}

// Copies `n` numbers of format `f` into y, widening.
void convert(const NumberType& f, const char* from, size_t n, const Tensor& y,
             const std::string& path, const std::string& name) {
  size_t bytes = f.bits / 8;
  if (bytes == size_of(f.dtype)) {
    if (n) std::memcpy(y.storage->data, from, n * bytes);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    double x = f.value(from + i * bytes);
    if (f.dtype == Dtype::f32)
      y.data<float>()[i] = float(x);
    else if (x >= INT32_MIN && x <= INT32_MAX)
      y.data<int>()[i] = int(x);
    else
      bad(path, "tensor " + name + ": element " + std::to_string(i) + " lies outside 32 bits");
  }
}

struct Placed {
  std::string type;
  const NumberType* format;  // nullptr: of a type unknown here
  Shape shape;
  size_t begin, end;  // of the data
};

// What the header says of a tensor, checked against `size` bytes of data.
Placed place_of(const Json& entry, const std::string& name, size_t size, const std::string& path) {
  std::string at = "tensor " + name + ": ";
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2)
    bad(path, at + "the header gives no dtype, shape and data_offsets");
  std::string type = entry["dtype"];
  const NumberType* format = find_number_type(type);
  Shape shape;
  size_t count = 1;
  for (const Json& d : entry["shape"]) {
    if (!d.is_number_unsigned() || d.get<uint64_t>() > INT32_MAX)
      bad(path, at + "bad shape " + entry["shape"].dump());
    shape.push_back(int(d.get<uint64_t>()));
    if (shape.back() && count > 8 * size / size_t(shape.back()) + 1)
      bad(path, at + "shape " + entry["shape"].dump() + " is larger than the file");
    count *= size_t(shape.back());
  }
  const Json& o = entry["data_offsets"];
  if (!o[0].is_number_unsigned() || !o[1].is_number_unsigned())
    bad(path, at + "bad data_offsets " + o.dump());
  uint64_t begin = o[0], end = o[1];
  if (begin > end || end > size)
    bad(path, at + "data_offsets " + o.dump() + " lie outside the " + std::to_string(size) +
                  " bytes of data; the file is truncated or its header is wrong");
  if (size_t needed = format ? (count * format->bits + 7) / 8 : end - begin; needed != end - begin)
    bad(path, at + "shape " + entry["shape"].dump() + " of " + type + " needs " +
                  std::to_string(needed) + " bytes, data_offsets give " +
                  std::to_string(end - begin));
  return {type, format, shape, begin, end};
}

// The numbers of one index of the first dimension.
size_t row_size(const Shape& shape) {
  size_t n = 1;
  for (size_t i = 1; i < shape.size(); i++) n *= size_t(shape[i]);
  return n;
}
size_t count_of(const Shape& shape) {
  return (shape.empty() ? 1 : size_t(shape[0])) * row_size(shape);
}

// Writes all of it at `offset` or throws; EINTR and short writes are gone on with.
void write_all(int file, const char* data, size_t size, size_t offset, const std::string& path) {
  while (size) {
    ssize_t n = ::pwrite(file, data, size, off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      bad(path, std::string("cannot be written: ") + std::strerror(n < 0 ? errno : ENOSPC));
    data += n, size -= size_t(n), offset += size_t(n);
  }
}

}  // namespace

// A file mapped for reading, unmapped when it goes.
struct TensorReader::Mapping {
  std::string path;
  const char* data = nullptr;
  size_t size = 0;
  std::map<std::string, Placed> tensors;
  size_t begin = 0;  // of their numbers
  explicit Mapping(const std::string& path) : path(path) {
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) bad(path, std::string("cannot be opened: ") + std::strerror(errno));
    struct stat s;
    bool regular = ::fstat(file, &s) == 0 && S_ISREG(s.st_mode);
    size = regular ? size_t(s.st_size) : 0;
    void* m = size ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
    ::close(file);
    if (!regular) bad(path, "is not a regular file");
    if (size == 0) bad(path, "is empty, not a safetensors file");
    if (m == MAP_FAILED) bad(path, std::string("cannot be mapped: ") + std::strerror(errno));
    data = static_cast<const char*>(m);
  }
  ~Mapping() {
    if (data) ::munmap(const_cast<char*>(data), size);
  }
  Mapping(const Mapping&) = delete;
};

TensorReader::TensorReader(const std::string& path) : mapping_(std::make_shared<Mapping>(path)) {
  Mapping& m = *mapping_;
  if (m.size < 8) bad(path, "has " + std::to_string(m.size) + " bytes, not a safetensors file");
  uint64_t length;
  std::memcpy(&length, m.data, 8);
  if (length > 100'000'000 || length > m.size - 8)
    bad(path, "its first 8 bytes promise a header of " + std::to_string(length) +
                  " bytes, the file has " + std::to_string(m.size) +
                  "; it is truncated or no safetensors file");
  Json header;
  std::string repeated;
  std::vector<std::string> seen;
  try {
    auto unique = [&](int depth, Json::parse_event_t event, Json& key) {
      if (depth == 1 && event == Json::parse_event_t::key) {
        std::string k = key.get<std::string>();
        if (std::find(seen.begin(), seen.end(), k) != seen.end()) repeated = k;
        seen.push_back(k);
      }
      return true;
    };
    header = Json::parse(m.data + 8, m.data + 8 + length, unique);
  } catch (const Json::parse_error& e) {
    bad(path, "its header is not JSON, from byte " + std::to_string(8 + e.byte) + " on");
  } catch (const Json::exception&) {
    bad(path, "its header is not JSON");
  }
  if (!header.is_object()) bad(path, "its header is not a JSON object");
  if (!repeated.empty()) bad(path, "tensor " + repeated + " stands twice in the header");
  m.begin = 8 + length;
  std::vector<std::pair<std::pair<size_t, size_t>, std::string>> spans;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) bad(path, "__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) bad(path, "__metadata__." + key + " is not a string");
        metadata_[key] = value;
      }
      continue;
    }
    const Placed& t = m.tensors[name] = place_of(entry, name, m.size - m.begin, path);
    specs_[name] = {t.format ? t.format->dtype : Dtype::f32, t.shape};
    if (t.begin < t.end) spans.push_back({{t.begin, t.end}, name});
  }
  std::sort(spans.begin(), spans.end());
  for (size_t i = 1; i < spans.size(); i++)
    if (spans[i].first.first < spans[i - 1].first.second)
      bad(path, "tensors " + spans[i - 1].second + " and " + spans[i].second + " overlap");
}

Tensor TensorReader::read(const std::string& name) const {
  const Shape& shape = specs_.at(name).shape;
  return read(name, 0, shape.empty() ? 1 : size_t(shape[0]));
}

// Where `count` rows from `first` on begin.
const char* TensorReader::at(const std::string& name, size_t first, size_t count) const {
  const Placed& t = mapping_->tensors.at(name);
  size_t rows = t.shape.empty() ? 1 : size_t(t.shape[0]);
  ENSURE(first + count <= rows, mapping_->path + ": tensor " + name + " has " +
                                    std::to_string(rows) + " rows, asked for " +
                                    std::to_string(count) + " from " + std::to_string(first) +
                                    " on");
  return mapping_->data + mapping_->begin + t.begin +
         first * row_size(t.shape) * t.format->bits / 8;
}

Tensor TensorReader::read(const std::string& name, size_t first, size_t count) const {
  const Placed& t = mapping_->tensors.at(name);
  if (!t.format || !t.format->read) {
    std::string types;
    for (const NumberType& f : number_types())
      if (f.read) types += (types.empty() ? "" : ", ") + std::string(f.name);
    bad(mapping_->path, "tensor " + name + ": dtype " + t.type + " is not read; " + types + " are");
  }
  Shape shape = t.shape;
  if (!shape.empty()) shape[0] = int(count);
  const char* from = at(name, first, count);
  Tensor y(shape, t.format->dtype);
  convert(*t.format, from, y.size(), y, mapping_->path, name);
  return y;
}

std::vector<double> TensorReader::values(const std::string& name, size_t first,
                                         size_t count) const {
  const Placed& t = mapping_->tensors.at(name);
  if (!t.format || !t.format->value) return {};
  const char* from = at(name, first, count);
  std::vector<double> x(count * row_size(t.shape));
  for (size_t i = 0; i < x.size(); i++) x[i] = t.format->value(from + i * t.format->bits / 8);
  return x;
}

std::string TensorReader::stored_type(const std::string& name) const {
  return mapping_->tensors.at(name).type;
}

std::string_view TensorReader::stored(const std::string& name) const {
  const Placed& t = mapping_->tensors.at(name);
  return {mapping_->data + mapping_->begin + t.begin, t.end - t.begin};
}

void TensorReader::check() const {
  auto written = metadata_.find(kChecksum);
  if (written == metadata_.end()) return;
  const Mapping& m = *mapping_;
  if (hex(XXH3_128bits(m.data + m.begin, m.size - m.begin)) != written->second)
    bad(m.path, "its numbers are not those that were written; the file is damaged");
}

TensorFile load_safetensors(const std::string& path) {
  TensorReader reader(path);
  reader.check();
  TensorFile file{{}, reader.metadata()};
  for (const auto& [name, spec] : reader.tensors()) file.tensors[name] = reader.read(name);
  return file;
}

TensorWriter::TensorWriter(const std::string& path, std::map<std::string, TensorSpec> tensors,
                           const std::map<std::string, std::string>& metadata)
    : path_(path), specs_(std::move(tensors)) {
  // Through a link, and never over what is no file.
  std::error_code none;
  if (std::filesystem::is_symlink(path, none))
    path_ = std::filesystem::weakly_canonical(path, none).string();
  if (std::filesystem::exists(path_, none) && !std::filesystem::is_regular_file(path_, none))
    bad(path_, "is no regular file, so it cannot be replaced by one");
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (const auto& [name, spec] : specs_) {
    const char* types[] = {"F32", "F64", "BF16", "I32"};
    const char* type = types[int(spec.dtype)];
    size_t bytes = count_of(spec.shape) * size_of(spec.dtype);
    header[name] = {{"dtype", type}, {"shape", spec.shape}, {"data_offsets", {end_, end_ + bytes}}};
    begins_[name] = end_, end_ += bytes;
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
  uint64_t length = text.size();
  text.insert(0, reinterpret_cast<const char*>(&length), 8);
  for (auto& [name, begin] : begins_) begin += text.size();
  temporary_ = path_ + ".tmp";
  file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) bad(temporary_, std::string("cannot be created: ") + std::strerror(errno));
  try {
    write_all(file_, text.data(), text.size(), 0, path_);
  } catch (...) {
    abandon();
    throw;
  }
}

TensorWriter::~TensorWriter() { abandon(); }

void TensorWriter::abandon() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
}

void TensorWriter::write(const std::string& name, const Tensor& rows, size_t first) {
  const TensorSpec& spec = specs_.at(name);
  size_t row = row_size(spec.shape) * size_of(spec.dtype),
         bytes = rows.size() * size_of(rows.dtype);
  ENSURE(rows.dtype == spec.dtype && row_size(rows.shape) == row_size(spec.shape) &&
             first * row + bytes <= count_of(spec.shape) * size_of(spec.dtype),
         path_ + ": " + text(rows.shape) + " are no rows from " + std::to_string(first) +
             " on of tensor " + name + " " + text(spec.shape));
  Tensor x = rows.to(rows.dtype).to(Device::cpu);  // contiguous
  write_all(file_, static_cast<const char*>(x.bytes()), bytes, begins_.at(name) + first * row,
            path_);
  written_ += bytes;
}

void TensorWriter::finish() {
  ENSURE(written_ == end_, path_ + ": " + std::to_string(written_) + " of " + std::to_string(end_) +
                               " bytes were written");
  if (::fsync(file_)) bad(path_, std::string("cannot be flushed: ") + std::strerror(errno));
  if (::rename(temporary_.c_str(), path_.c_str()))
    bad(path_, std::string("cannot be renamed to: ") + std::strerror(errno));
  ::close(file_);
  file_ = -1;
  size_t slash = path_.rfind('/');
  int folder = ::open(slash == std::string::npos ? "." : path_.substr(0, slash + 1).c_str(),
                      O_RDONLY | O_DIRECTORY);
  if (folder >= 0) ::fsync(folder), ::close(folder);
}

void save_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                      std::map<std::string, std::string> metadata) {
  std::map<std::string, TensorSpec> specs;
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                        XXH3_freeState);
  XXH3_128bits_reset(state.get());
  for (const auto& [name, t] : tensors) {
    specs[name] = {t.dtype, t.shape};
    Tensor x = t.to(t.dtype).to(Device::cpu);  // contiguous
    XXH3_128bits_update(state.get(), x.bytes(), x.size() * size_of(x.dtype));
  }
  metadata[kChecksum] = hex(XXH3_128bits_digest(state.get()));
  TensorWriter file(path, specs, metadata);
  for (const auto& [name, t] : tensors) file.write(name, t);
  file.finish();
}

}  // namespace retort
