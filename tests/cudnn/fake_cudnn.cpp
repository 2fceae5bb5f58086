// A libcudnn.so.9 (and libcuda.so.1) that carries out operation graphs one by one on the host, in
// the types the graph gives its tensors: it shows that our graphs compute attention, and that runs
// bind the right addresses. It knows what kernels/cudnn_graph.h uses, and aborts on anything else.
#include <cuda.h>
#include <cudnn.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

namespace {

struct Descriptor;
using Shared = std::shared_ptr<Descriptor>;

struct Descriptor {
  cudnnBackendDescriptorType_t type;
  std::map<int, std::vector<char>> values;
  std::map<int, std::vector<Shared>> links;

  template <class T>
  std::vector<T> all(int name) const {
    auto at = values.find(name);
    if (at == values.end()) return {};
    std::vector<T> v(at->second.size() / sizeof(T));
    std::memcpy(v.data(), at->second.data(), at->second.size());
    return v;
  }
  template <class T>
  T one(int name) const {
    return all<T>(name).at(0);
  }
  Shared link(int name) const {
    auto at = links.find(name);
    return at == links.end() ? nullptr : at->second.at(0);
  }
};

std::map<void*, Shared>& alive() {
  static auto& map = *new std::map<void*, Shared>;
  return map;
}

[[noreturn]] void stop(const char* what, int value) {
  std::fprintf(stderr, "fake cuDNN: %s %d\n", what, value);
  std::abort();
}

size_t bytes_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
      return 8;
    case CUDNN_TYPE_BOOLEAN:
      return sizeof(bool);
    case CUDNN_TYPE_DATA_TYPE:
    case CUDNN_TYPE_HEUR_MODE:
    case CUDNN_TYPE_POINTWISE_MODE:
    case CUDNN_TYPE_REDUCTION_OPERATOR_TYPE:
      return 4;
    default:
      stop("attribute type", type);
  }
}

float rounded(float x) {
  auto bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return x;
  return std::bit_cast<float>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u);
}

using Place = std::vector<int64_t>;

// A tensor of a run: at the caller's address, or a buffer of its own.
struct Tensor {
  Place sizes, strides;
  cudnnDataType_t type;
  bool inside;
  void* address = nullptr;
  std::vector<float> buffer;

  // The element at a place, sizes of 1 (and fewer heads) standing for more.
  size_t index(const Place& p, const Place& in) const {
    size_t i = 0;
    for (int d = 0; d < 4; ++d) i += p[d] * sizes[d] / in[d] * strides[d];
    return i;
  }
  float at(size_t i) const {
    if (inside) return buffer.at(i);
    if (type == CUDNN_DATA_FLOAT) return static_cast<float*>(address)[i];
    if (type == CUDNN_DATA_INT32) return float(static_cast<int*>(address)[i]);
    if (type != CUDNN_DATA_BFLOAT16) stop("data type", type);
    return std::bit_cast<float>(uint32_t(static_cast<uint16_t*>(address)[i]) << 16);
  }
  void put(size_t i, float x) {
    if (type == CUDNN_DATA_BFLOAT16) x = rounded(x);
    if (inside) {
      buffer.at(i) = x;
    } else if (type == CUDNN_DATA_FLOAT) {
      static_cast<float*>(address)[i] = x;
    } else if (type == CUDNN_DATA_BFLOAT16) {
      static_cast<uint16_t*>(address)[i] = uint16_t(std::bit_cast<uint32_t>(x) >> 16);
    } else {
      stop("data type", type);
    }
  }
};

template <class F>
void for_each(const Place& n, F f) {
  for (int64_t a = 0; a < n[0]; ++a)
    for (int64_t b = 0; b < n[1]; ++b)
      for (int64_t c = 0; c < n[2]; ++c)
        for (int64_t d = 0; d < n[3]; ++d) f(Place{a, b, c, d});
}

class Run {
 public:
  Run(const Descriptor& pack) {
    auto ids = pack.all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    auto addresses = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    for (size_t i = 0; i < ids.size(); ++i) addresses_[ids[i]] = addresses[i];
  }

  void operation(const Descriptor& op) {
    switch (op.type) {
      case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return pointwise(op);
      case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        return matmul(op);
      case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        return reduction(op);
      case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        return reshape(op);
      default:
        stop("operation", op.type);
    }
  }

 private:
  Tensor* tensor(const Shared& d) {
    if (!d) return nullptr;
    auto id = d->one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    auto [at, added] = tensors_.try_emplace(id);
    Tensor& t = at->second;
    if (!added) return &t;
    t.sizes = d->all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
    t.strides = d->all<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    t.type = d->one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
    t.inside = d->one<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    if (t.inside) {
      t.buffer.resize(t.sizes[0] * t.sizes[1] * t.sizes[2] * t.sizes[3], NAN);
    } else if (!addresses_.count(id)) {
      stop("no address of tensor", int(id));
    } else {
      t.address = addresses_[id];
    }
    return &t;
  }

  void pointwise(const Descriptor& op) {
    auto& how = *op.link(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    auto mode = how.one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    auto axis = how.all<int64_t>(CUDNN_ATTR_POINTWISE_AXIS);
    Tensor *x = tensor(op.link(CUDNN_ATTR_OPERATION_POINTWISE_XDESC)),
           *b = tensor(op.link(CUDNN_ATTR_OPERATION_POINTWISE_BDESC)),
           *mask = tensor(op.link(CUDNN_ATTR_OPERATION_POINTWISE_TDESC)),
           *y = tensor(op.link(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    for_each(y->sizes, [&](const Place& p) {
      auto value = [&](Tensor* t) { return t ? t->at(t->index(p, y->sizes)) : 0; };
      float u = mode == CUDNN_POINTWISE_GEN_INDEX ? 0 : value(x), v = value(b), r = 0;
      switch (mode) {
        case CUDNN_POINTWISE_ADD:
          r = u + v;
          break;
        case CUDNN_POINTWISE_SUB:
          r = u - v;
          break;
        case CUDNN_POINTWISE_MUL:
          r = u * v;
          break;
        case CUDNN_POINTWISE_DIV:
          r = u / v;
          break;
        case CUDNN_POINTWISE_EXP:
          r = std::exp(u);
          break;
        case CUDNN_POINTWISE_LOG:
          r = std::log(u);
          break;
        case CUDNN_POINTWISE_IDENTITY:
          r = u;
          break;
        case CUDNN_POINTWISE_CMP_LT:
          r = u < v;
          break;
        case CUDNN_POINTWISE_CMP_GE:
          r = u >= v;
          break;
        case CUDNN_POINTWISE_LOGICAL_AND:
          r = u && v;
          break;
        case CUDNN_POINTWISE_GEN_INDEX:
          r = float(p[axis.at(0)]);
          break;
        case CUDNN_POINTWISE_BINARY_SELECT:
          r = value(mask) ? u : v;
          break;
        default:
          stop("pointwise mode", mode);
      }
      y->put(y->index(p, y->sizes), r);
    });
  }

  // Rows behind a length stay unwritten in the caller's memory, as they may on the device.
  void matmul(const Descriptor& op) {
    Tensor *a = tensor(op.link(CUDNN_ATTR_OPERATION_MATMUL_ADESC)),
           *b = tensor(op.link(CUDNN_ATTR_OPERATION_MATMUL_BDESC)),
           *c = tensor(op.link(CUDNN_ATTR_OPERATION_MATMUL_CDESC)),
           *m = tensor(op.link(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC)),
           *k = tensor(op.link(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC));
    Place rows = c->sizes, columns = c->sizes;  // the sizes that a's and b's batches stand for
    rows[3] = a->sizes[3], columns[2] = b->sizes[2];
    for_each(c->sizes, [&](const Place& p) {
      if (m && !c->inside && p[2] >= m->at(p[0])) return;
      float sum = 0;
      int64_t terms = k ? int64_t(k->at(p[0])) : a->sizes[3];
      for (int64_t i = 0; i < terms; ++i)
        sum += a->at(a->index({p[0], p[1], p[2], i}, rows)) *
               b->at(b->index({p[0], p[1], i, p[3]}, columns));
      c->put(c->index(p, c->sizes), sum);
    });
  }

  void reduction(const Descriptor& op) {
    auto& how = *op.link(CUDNN_ATTR_OPERATION_REDUCTION_DESC);
    bool top = how.one<int>(CUDNN_ATTR_REDUCTION_OPERATOR) == CUDNN_REDUCE_TENSOR_MAX;
    Tensor *x = tensor(op.link(CUDNN_ATTR_OPERATION_REDUCTION_XDESC)),
           *y = tensor(op.link(CUDNN_ATTR_OPERATION_REDUCTION_YDESC));
    std::map<size_t, float> sums;
    for_each(x->sizes, [&](const Place& p) {
      float value = x->at(x->index(p, x->sizes));
      auto [at, added] = sums.try_emplace(y->index(p, x->sizes), value);
      if (!added) at->second = top ? std::max(at->second, value) : at->second + value;
    });
    for (auto [i, value] : sums) y->put(i, value);
  }

  // Reshapes here are transpositions: other strides over the same elements.
  void reshape(const Descriptor& op) {
    Tensor *x = tensor(op.link(CUDNN_ATTR_OPERATION_RESHAPE_XDESC)),
           *y = tensor(op.link(CUDNN_ATTR_OPERATION_RESHAPE_YDESC));
    y->strides = {y->sizes[1] * y->sizes[2] * y->sizes[3], y->sizes[2] * y->sizes[3], y->sizes[3],
                  1};
    for_each(y->sizes, [&](const Place& p) {
      y->put(y->index(p, y->sizes), x->at(x->index({p[0], p[1], p[3], p[2]}, x->sizes)));
    });
  }

  std::map<int64_t, void*> addresses_;
  std::map<int64_t, Tensor> tensors_;
};

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return CUDNN_VERSION; }
void cudnnGetLastErrorString(char* message, size_t) { *message = 0; }
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = reinterpret_cast<cudnnHandle_t>(8);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) { return CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  auto made = std::make_shared<Descriptor>();
  made->type = type;
  alive()[*descriptor = made.get()] = made;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  alive().erase(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t) { return CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void* values) {
  Descriptor& d = *alive().at(descriptor);
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    for (int64_t i = 0; i < count; ++i)
      d.links[name].push_back(alive().at(static_cast<void* const*>(values)[i]));
  } else {
    auto bytes = static_cast<const char*>(values);
    d.values[name].assign(bytes, bytes + count * bytes_of(type));
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t requested,
                                       int64_t* count, void* values) {
  *count = 1;
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && requested) {
    Descriptor& config = *alive().at(*static_cast<void**>(values));
    config.links[CUDNN_ATTR_ENGINE_OPERATION_GRAPH] =
        alive().at(descriptor)->links[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH];
  } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE ||
             name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX) {
    *static_cast<int64_t*>(values) = 0;
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  Shared config = alive().at(plan)->link(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  Run run(*alive().at(pack));
  for (const Shared& op :
       config->link(CUDNN_ATTR_ENGINE_OPERATION_GRAPH)->links[CUDNN_ATTR_OPERATIONGRAPH_OPS])
    run.operation(*op);
  return CUDNN_STATUS_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) { return *device = 0, CUDA_SUCCESS; }
CUresult cuMemsetD32Async(CUdeviceptr address, unsigned value, size_t count, CUstream) {
  std::fill_n(reinterpret_cast<unsigned*>(address), count, value);
  return CUDA_SUCCESS;
}

}  // extern "C"
