#include "engine/tensor.h"

#include "engine/ops.h"

namespace retort {

void fail(const std::string& what) { throw std::invalid_argument(what); }

std::string text(const std::vector<int>& shape) {
  std::string s = "(";
  for (size_t i = 0; i < shape.size(); i++) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + ")";
}

size_t size_of(Dtype dtype) { return dtype == Dtype::f64 ? 8 : dtype == Dtype::bf16 ? 2 : 4; }
const char* name_of(Dtype dtype) {
  return dtype == Dtype::f32    ? "f32"
         : dtype == Dtype::f64  ? "f64"
         : dtype == Dtype::bf16 ? "bf16"
                                : "i32";
}

Storage::Storage(Device device, size_t bytes)
    : device(device), bytes(bytes), block_(cached_allocate(device, bytes)) {
  data = block_.data;
}

Storage::~Storage() {
  if (!owner) cached_free(device, block_);
}

void Storage::move_into(const std::shared_ptr<Storage>& into, size_t offset) {
  ENSURE(!owner && offset + bytes <= into->bytes, "Storage::move_into: does not fit");
  void* place = static_cast<char*>(into->data) + offset;
  device_copy(device, place, device, data, bytes);
  cached_free(device, block_);
  data = place;
  owner = into;
}

Tensor::Tensor(Shape s, Dtype t, Device device) : shape(std::move(s)), dtype(t) {
  strides.resize(shape.size());
  size_t n = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    ENSURE(shape[i] >= 0, "Tensor: negative size in shape " + text(shape));
    strides[i] = n;
    n *= size_t(shape[i]);
  }
  storage = std::make_shared<Storage>(device, n * size_of(t));
}

size_t Tensor::size() const {
  size_t n = 1;
  for (int d : shape) n *= size_t(d);
  return n;
}

bool Tensor::is_contiguous() const {
  size_t n = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != n) return false;
    n *= size_t(shape[i]);
  }
  return true;
}

Tensor Tensor::detach() const {
  Tensor y = *this;
  y.node = nullptr;
  return y;
}

namespace {
template <class T, class From>
Tensor upload(const std::vector<From>& values, Shape shape, Device device) {
  Tensor y(std::move(shape), dtype_of<T>(), device);
  ENSURE(values.size() == y.size(),
         "Tensor::from: " + std::to_string(values.size()) + " values for shape " + text(y.shape));
  std::vector<T> v(values.size());
  for (size_t i = 0; i < v.size(); i++) v[i] = T(Real<T>(values[i]));
  device_copy(device, y.data<T>(), Device::cpu, v.data(), v.size() * sizeof(T));
  return y;
}
template <class T>
std::vector<T> download(const Tensor& x) {
  std::vector<T> v(x.size());
  device_copy(Device::cpu, v.data(), x.device(), x.data<T>(), v.size() * sizeof(T));
  return v;
}
}  // namespace

Tensor Tensor::from(const std::vector<double>& values, Shape shape, Dtype dtype, Device device) {
  if (dtype == Dtype::i32) return upload<int>(values, std::move(shape), device);
  return dispatch(dtype, [&]<class T>(T) { return upload<T>(values, std::move(shape), device); });
}
Tensor Tensor::from(const std::vector<int>& values, Shape shape, Device device) {
  MemoryScope scope(MemoryClass::ids);
  Tensor y = upload<int>(values, std::move(shape), device);
  if (device != Device::cpu) y.storage->host_ints = values;
  return y;
}
Tensor Tensor::zeros(Shape shape, Dtype dtype, Device device) {
  Tensor y(std::move(shape), dtype, device);
  device_zero(device, y.storage->data, y.size() * size_of(dtype));
  return y;
}
Tensor Tensor::full(Shape shape, double value, Dtype dtype, Device device) {
  Tensor one = from(std::vector<double>{value}, Shape(shape.size(), 1), dtype, device);
  return contiguous(expand(one, std::move(shape)));
}
Tensor Tensor::to(Dtype t) const {
  NoGrad quiet;
  if (t == dtype) return contiguous(detach());
  if (t == Dtype::i32 || dtype == Dtype::i32) return from(values(), shape, t, device());
  return cast(detach(), t);
}
Tensor Tensor::to(Device d) const {
  if (d == device()) return *this;
  if (dtype == Dtype::i32) return from(ints(), shape, d);
  NoGrad quiet;
  Tensor x = contiguous(detach()), y(shape, dtype, d);
  device_copy(d, y.storage->data, device(), x.bytes(), x.size() * size_of(dtype));
  return y;
}

std::vector<double> Tensor::values() const {
  NoGrad quiet;
  Tensor x = contiguous(detach());
  auto numbers = [&]<class T>(T) {
    std::vector<T> v = download<T>(x);
    return std::vector<double>(v.begin(), v.end());
  };
  return dtype == Dtype::i32 ? numbers(int()) : dispatch(dtype, numbers);
}
std::vector<int> Tensor::ints() const {
  ENSURE(dtype == Dtype::i32, std::string("ints: the tensor is ") + name_of(dtype));
  bool at_hand = device() == Device::cpu || !storage->host_ints.empty();
  if (!at_hand) return download<int>(contiguous(detach()));
  const int* x = device() == Device::cpu ? data<int>() : storage->host_ints.data() + offset;
  std::vector<int> v(size()), index(shape.size(), 0);
  size_t at = 0;
  for (int& y : v) {  // row-major: the last index moves fastest
    y = x[at];
    for (size_t d = shape.size(); d-- > 0;) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= strides[d] * size_t(shape[d]), index[d] = 0;
    }
  }
  return v;
}
double Tensor::item() const {
  ENSURE(size() == 1, "item: expected one number, got shape " + text(shape));
  return values()[0];
}
void Tensor::wrong_type(Dtype asked) const {
  fail(std::string("tensor ") + text(shape) + " is " + name_of(dtype) + ", used as " +
       name_of(asked));
}

}  // namespace retort
