// cuDNN's functions, loaded at run time, and its operation graphs. Internal to the kernels that run
// on cuDNN; this file and they are the only ones that name it.
#pragma once
#include <cuda.h>
#include <cudnn.h>
#include <dlfcn.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace retort::cudnn {

// The functions of cuDNN and of CUDA's driver that are used here.
struct Library {
  decltype(&cudnnGetVersion) version;
  decltype(&cudnnGetLastErrorString) last_error;
  decltype(&cudnnCreate) create;
  decltype(&cudnnSetStream) set_stream;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&cudnnBackendSetAttribute) set_attribute;
  decltype(&cudnnBackendGetAttribute) get_attribute;
  decltype(&cudnnBackendFinalize) finalize;
  decltype(&cudnnBackendExecute) execute;
  decltype(&cuCtxGetDevice) current_device;
  decltype(&cuMemsetD32Async) fill;
  bool loaded = false;

  Library() {
    void* cudnn = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!cudnn || !driver) return;
    auto find = [](void* library, const char* name, auto& function) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
      return function != nullptr;
    };
    loaded = find(cudnn, "cudnnGetVersion", version) &&
             find(cudnn, "cudnnGetLastErrorString", last_error) &&
             find(cudnn, "cudnnCreate", create) && find(cudnn, "cudnnSetStream", set_stream) &&
             find(cudnn, "cudnnBackendCreateDescriptor", create_descriptor) &&
             find(cudnn, "cudnnBackendDestroyDescriptor", destroy_descriptor) &&
             find(cudnn, "cudnnBackendSetAttribute", set_attribute) &&
             find(cudnn, "cudnnBackendGetAttribute", get_attribute) &&
             find(cudnn, "cudnnBackendFinalize", finalize) &&
             find(cudnn, "cudnnBackendExecute", execute) &&
             find(driver, "cuCtxGetDevice", current_device) &&
             find(driver, "cuMemsetD32Async", fill) && version() >= 91600;
  }
};

inline const Library& library() {
  static const Library instance;
  return instance;
}

struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char message[1024] = {};
  library().last_error(message, sizeof message);
  throw Refusal(what + ": status " + std::to_string(int(status)) + ", " + message);
}

// A backend descriptor, destroyed with its last copy.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t raw = nullptr;
    check(library().create_descriptor(type, &raw), "create descriptor");
    raw_ = std::shared_ptr<void>(raw, [](void* d) { library().destroy_descriptor(d); });
  }
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
           const void* values) const {
    check(library().set_attribute(raw_.get(), name, type, count, values),
          "attribute " + std::to_string(int(name)));
  }
  void set(cudnnBackendAttributeName_t name, cudnnDataType_t v) const {
    set(name, CUDNN_TYPE_DATA_TYPE, 1, &v);
  }
  void set(cudnnBackendAttributeName_t name, int64_t v) const {
    set(name, CUDNN_TYPE_INT64, 1, &v);
  }
  void set(cudnnBackendAttributeName_t name, bool v) const { set(name, CUDNN_TYPE_BOOLEAN, 1, &v); }
  void set(cudnnBackendAttributeName_t name, const Descriptor& v) const {
    void* raw = v.raw_.get();
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
  }
  int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
              void* values) const {
    int64_t found = 0;
    check(library().get_attribute(raw_.get(), name, type, count, &found, values),
          "attribute " + std::to_string(int(name)));
    return found;
  }
  Descriptor& finalize(const char* what) {
    check(library().finalize(raw_.get()), what);
    return *this;
  }
  void* raw() const { return raw_.get(); }
  explicit operator bool() const { return raw_ != nullptr; }

 private:
  std::shared_ptr<void> raw_;
};

using Four = std::array<int64_t, 4>;  // sizes or strides: sequence, head, row, column

// A tensor of a graph.
struct Node {
  Descriptor descriptor;
  Four sizes, strides;
  explicit operator bool() const { return bool(descriptor); }
};

inline Four packed(const Four& n) { return {n[1] * n[2] * n[3], n[2] * n[3], n[3], 1}; }
inline Four transposed(const Four& n) { return {n[0], n[1], n[3], n[2]}; }

constexpr auto kBf16 = CUDNN_DATA_BFLOAT16;
constexpr auto kFloat = CUDNN_DATA_FLOAT;
constexpr auto kInt = CUDNN_DATA_INT32;
constexpr auto kBool = CUDNN_DATA_BOOLEAN;

// Operations on tensors, collected into an operation graph.
class Graph {
 public:
  enum Place { MEMORY, VALUE, INSIDE };

  Node tensor(int64_t id, cudnnDataType_t type, const Four& sizes, const Four& strides,
              Place place = MEMORY) {
    Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes.data());
    d.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides.data());
    d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
    d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t(16));
    d.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, place == INSIDE);
    d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, place == VALUE);
    return {d.finalize("tensor"), sizes, strides};
  }
  Node value(int64_t id, cudnnDataType_t type) {
    return tensor(id, type, {1, 1, 1, 1}, {1, 1, 1, 1}, VALUE);
  }
  Node inside(cudnnDataType_t type, const Four& sizes) {
    return tensor(next_++, type, sizes, packed(sizes), INSIDE);
  }

  // y = mode(x, b), or mask ? x : b, computed in `type`.
  Node pointwise(cudnnPointwiseMode_t mode, cudnnDataType_t type, const Node& x, const Node& b = {},
                 const Node& mask = {}, int axis = -1, Node y = {}) {
    Descriptor d(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    d.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    d.set(CUDNN_ATTR_POINTWISE_MATH_PREC, type);
    if (axis >= 0) d.set(CUDNN_ATTR_POINTWISE_AXIS, int64_t(axis));
    if (!y) y = inside(type, x.sizes);
    Descriptor op(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, d.finalize("pointwise"));
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x.descriptor);
    if (b) op.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b.descriptor);
    if (mask) op.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, mask.descriptor);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y.descriptor);
    return add(op, y, "pointwise operation");
  }
  Node pointwise(cudnnPointwiseMode_t mode, const Node& x, const Node& b = {}) {
    return pointwise(mode, kFloat, x, b);
  }

  // c = a b; m, n and k are lengths per sequence that stand for a size.
  Node matmul(const Node& a, const Node& b, const Node& c, const Node& m = {}, const Node& n = {},
              const Node& k = {}) {
    Descriptor d(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    d.set(CUDNN_ATTR_MATMUL_COMP_TYPE, kFloat);
    Descriptor op(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, d.finalize("matmul"));
    op.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, a.descriptor);
    op.set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, b.descriptor);
    op.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, c.descriptor);
    if (m) op.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, m.descriptor);
    if (n) op.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, n.descriptor);
    if (k) op.set(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, k.descriptor);
    return add(op, c, "matmul operation");
  }

  // y has size 1 (or fewer heads) where x is reduced.
  Node reduce(cudnnReduceTensorOp_t mode, const Node& x, const Node& y) {
    Descriptor d(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    d.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, kFloat);
    d.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &mode);
    Descriptor op(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, d.finalize("reduction"));
    op.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x.descriptor);
    op.set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y.descriptor);
    return add(op, y, "reduction operation");
  }

  Node transpose(const Node& x, cudnnDataType_t type) {
    Node y = tensor(next_++, type, transposed(x.sizes), transposed(x.strides), INSIDE);
    Descriptor op(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x.descriptor);
    op.set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y.descriptor);
    return add(op, y, "reshape operation");
  }

  Descriptor finish(cudnnHandle_t handle) {
    std::vector<void*> raw;
    for (const Descriptor& op : operations_) raw.push_back(op.raw());
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(raw.size()),
              raw.data());
    if (handle) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    return graph.finalize("operation graph");
  }

 private:
  Node add(Descriptor& op, const Node& y, const char* what) {
    operations_.push_back(op.finalize(what));
    return y;
  }
  std::vector<Descriptor> operations_;
  int64_t next_ = 1000;  // the caller's ids are below
};

}  // namespace retort::cudnn
