// cuDNN's fused attention as graphs of small operations (matrix products, pointwise operations,
// reductions), which its engines recognise and fuse. cuDNN is loaded at run time: a program without
// it starts, and accepts nothing here.
#include "kernels/attention_cudnn.h"

#if __has_include(<cudnn.h>) && __has_include(<cuda.h>)
#include <algorithm>
#include <limits>
#include <map>
#include <mutex>

#include "kernels/cudnn_graph.h"

namespace retort {
namespace {

using namespace cudnn;

// Ids of the tensors that the caller gives, of those in the workspace, and of values on the host.
enum Given : int64_t { QUERY = 1, KEY, VALUE, OUT, LOG_SUM, DOUT, DQ, DK, DV, KEY_LENGTHS };
enum Cut : int64_t { QUERY_LENGTHS = 20, ROW_SUM, DQ_SUM };
enum Scalar : int64_t { SCALE = 30, MINUS_INFINITY, ONE, QUERY_COUNT, KEY_COUNT };

// The operands of attention and what is done to its scores in either direction.
struct AttentionGraph {
  Graph graph;
  const AttentionShape& s;
  Four scores, row, qo, kv;   // sizes
  Node q, kt, keys, queries;  // kt: K transposed

  explicit AttentionGraph(const AttentionShape& shape)
      : s(shape),
        scores{s.B, s.H, s.T, s.S},
        row{s.B, s.H, s.T, 1},
        qo{s.B, s.H, s.T, s.D},
        kv{s.B, s.K, s.S, s.D},
        q(graph.tensor(QUERY, kBf16, qo, strides(s.q, qo))),
        kt(graph.tensor(KEY, kBf16, transposed(kv), transposed(strides(s.k, kv)))) {
    if (!s.lengths) return;
    keys = graph.tensor(KEY_LENGTHS, kInt, {s.B, 1, 1, 1}, {1, 1, 1, 1});
    queries = graph.tensor(QUERY_LENGTHS, kInt, {s.B, 1, 1, 1}, {1, 1, 1, 1});
  }

  static Four strides(const AttentionStrides& given, const Four& n) {
    if (!given.position) return {n[1] * n[2] * n[3], n[3], n[1] * n[3], 1};
    return {given.batch, given.head, given.position, 1};
  }
  Node contiguous(int64_t id, const Four& sizes) {
    return graph.tensor(id, kBf16, sizes, strides({}, sizes));
  }

  Node index(const Node& x, int axis) {
    return graph.pointwise(CUDNN_POINTWISE_GEN_INDEX, kInt, x, {}, {}, axis);
  }
  Node select(const Node& x, const Node& visible) {
    return graph.pointwise(CUDNN_POINTWISE_BINARY_SELECT, kFloat, x, minus_infinity, visible);
  }
  Node mask(Node x) {
    if (s.lengths || s.causal) minus_infinity = graph.value(MINUS_INFINITY, kFloat);
    if (s.lengths) {
      Node row = index(x, 2), column = index(x, 3);
      Node query = graph.pointwise(CUDNN_POINTWISE_CMP_LT, kBool, row, queries);
      Node key = graph.pointwise(CUDNN_POINTWISE_CMP_LT, kBool, column, keys);
      x = select(x, graph.pointwise(CUDNN_POINTWISE_LOGICAL_AND, kBool, query, key));
    }
    if (s.causal) {
      Node row = index(x, 2), column = index(x, 3);
      if (s.S != s.T) {
        row = graph.pointwise(CUDNN_POINTWISE_ADD, kInt, row, graph.value(KEY_COUNT, kInt));
        row = graph.pointwise(CUDNN_POINTWISE_SUB, kInt, row, graph.value(QUERY_COUNT, kInt));
      }
      x = select(x, graph.pointwise(CUDNN_POINTWISE_CMP_GE, kBool, row, column));
    }
    return x;
  }

  void forward() {
    Node scale = graph.value(SCALE, kFloat);
    Node x = graph.matmul(q, kt, graph.inside(kFloat, scores), queries, keys);
    x = mask(graph.pointwise(CUDNN_POINTWISE_MUL, x, scale));
    Node top = graph.reduce(CUDNN_REDUCE_TENSOR_MAX, x, graph.inside(kFloat, row));
    Node power = graph.pointwise(CUDNN_POINTWISE_EXP, graph.pointwise(CUDNN_POINTWISE_SUB, x, top));
    Node sum = graph.reduce(CUDNN_REDUCE_TENSOR_ADD, power, graph.inside(kFloat, row));
    graph.pointwise(CUDNN_POINTWISE_ADD, kFloat, top, graph.pointwise(CUDNN_POINTWISE_LOG, sum), {},
                    -1, graph.tensor(LOG_SUM, kFloat, row, packed(row)));
    Node p = graph.pointwise(CUDNN_POINTWISE_DIV, kFloat, power, sum, {}, -1,
                             graph.inside(kBf16, scores));
    Node v = graph.tensor(VALUE, kBf16, kv, strides(s.v, kv));
    graph.matmul(p, v, contiguous(OUT, qo), queries, {}, keys);
  }

  // dx of one group of heads: the query heads that share a key head are summed.
  void key_gradient(int64_t id, const Node& p, const Node& y) {
    Node dx = contiguous(id, kv);
    if (s.H == s.K) {
      graph.matmul(p, y, dx, keys, {}, queries);
    } else {
      Node each = graph.inside(kBf16, {s.B, s.H, s.S, s.D});
      graph.reduce(CUDNN_REDUCE_TENSOR_ADD, graph.matmul(p, y, each, keys, {}, queries), dx);
    }
  }

  void backward() {
    Node out = contiguous(OUT, qo), dout = contiguous(DOUT, qo), dq = contiguous(DQ, qo);
    Node log_sum = graph.tensor(LOG_SUM, kFloat, row, packed(row));
    Node scale = graph.value(SCALE, kFloat);
    Node vt = graph.tensor(VALUE, kBf16, transposed(kv), transposed(strides(s.v, kv)));
    Node product = graph.pointwise(CUDNN_POINTWISE_MUL, dout, out);
    Node delta = graph.reduce(CUDNN_REDUCE_TENSOR_ADD, product, graph.inside(kFloat, row));
    delta = graph.pointwise(CUDNN_POINTWISE_MUL, kFloat, delta, graph.value(ONE, kFloat), {}, -1,
                            graph.tensor(ROW_SUM, kFloat, row, packed(row)));

    Node x = graph.matmul(q, kt, graph.inside(kFloat, scores), queries, keys);
    x = graph.pointwise(CUDNN_POINTWISE_MUL, x, scale);
    x = mask(graph.pointwise(CUDNN_POINTWISE_SUB, x, log_sum));
    Node p = graph.pointwise(CUDNN_POINTWISE_EXP, x);
    key_gradient(DV, graph.transpose(p, kBf16), dout);

    Node dp = graph.matmul(dout, vt, graph.inside(kFloat, scores), queries, keys);
    Node ds =
        graph.pointwise(CUDNN_POINTWISE_MUL, graph.pointwise(CUDNN_POINTWISE_SUB, dp, delta), p);
    ds = graph.pointwise(CUDNN_POINTWISE_MUL, ds, scale);
    key_gradient(DK, graph.transpose(ds, kBf16), q);

    Node keys_again = graph.transpose(kt, kFloat);
    if (s.deterministic) {
      graph.matmul(ds, keys_again, dq, queries, {}, keys);
    } else {
      Node sum = graph.tensor(DQ_SUM, kFloat, qo, packed(qo));
      graph.matmul(ds, keys_again, sum, queries, {}, keys);
      graph.pointwise(CUDNN_POINTWISE_IDENTITY, kFloat, sum, {}, {}, -1, dq);
    }
  }

 private:
  Node minus_infinity;
};

// A plan that runs, with its engine and workspace, or why there is none. What it was built from
// lives as long as it does.
struct Plan : AttentionPlan {
  Descriptor descriptor, config, graph;
};

// The first of cuDNN's suggestions that it can build, for `handle`'s device or for `device`.
void build(const Descriptor& graph, cudnnHandle_t handle, const Descriptor& device, Plan& plan) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (device) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
  heuristic.finalize("heuristic");
  int64_t count =
      heuristic.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<Descriptor> configs;
  std::vector<void*> raw;
  for (int64_t i = 0; i < count; ++i) {
    configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(configs.back().raw());
  }
  if (count) {
    count = heuristic.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count,
                          raw.data());
  }
  plan.refusal = "no engine suggested";
  for (int64_t i = 0; i < count && !plan.built; ++i) {
    try {
      Descriptor d(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      d.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configs[i]);
      if (device) d.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device);
      if (handle) d.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
      d.finalize("plan");
      d.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &plan.workspace);
      Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
      void* e = engine.raw();
      configs[i].get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &e);
      engine.get(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &plan.engine);
      plan.descriptor = d;
      plan.config = configs[i];
      plan.graph = graph;
      plan.built = true;
    } catch (const Refusal& refusal) {
      plan.refusal = refusal.what();
    }
  }
}

Plan make_plan(const AttentionShape& shape, bool backward, cudnnHandle_t handle,
               const Descriptor& device) {
  Plan plan;
  try {
    AttentionGraph attention(shape);
    backward ? attention.backward() : attention.forward();
    build(attention.graph.finish(handle), handle, device, plan);
  } catch (const Refusal& refusal) {
    plan.refusal = refusal.what();
  }
  return plan;
}

// Handles by device and plans by device, direction and shape. Never destroyed: cuDNN may be gone
// before the program's other statics are.
struct Runtime {
  std::mutex mutex;
  std::map<int, cudnnHandle_t> handles;
  std::map<std::vector<int64_t>, Plan> plans;

  cudnnHandle_t handle(int device) {
    cudnnHandle_t& handle = handles[device];
    if (!handle) check(library().create(&handle), "handle");
    return handle;
  }
  const Plan& plan(int device, const AttentionShape& s, bool backward) {
    std::vector<int64_t> key{device,    backward,       s.B, s.T, s.S, s.H, s.K, s.D, s.causal,
                             s.lengths, s.deterministic};
    for (const AttentionStrides& x : {s.q, s.k, s.v})
      key.insert(key.end(), {x.batch, x.position, x.head});
    cudnnHandle_t on = handle(device);
    auto [at, added] = plans.try_emplace(key);
    if (added) at->second = make_plan(s, backward, on, {});
    return at->second;
  }
};

// The tensors of a run: what the caller gave, and pieces cut from one workspace.
struct Operands {
  std::vector<int64_t> ids;
  std::vector<void*> addresses;
  std::vector<std::pair<size_t, size_t>> pieces;  // which address, and its offset
  size_t bytes = 0;

  void give(int64_t id, const void* address) {
    ids.push_back(id);
    addresses.push_back(const_cast<void*>(address));
  }
  void cut(int64_t id, size_t size) {
    pieces.push_back({ids.size(), bytes});
    give(id, nullptr);
    bytes += (size + 255) / 256 * 256;
  }
  void place(void* workspace) {
    for (auto [i, offset] : pieces) addresses[i] = static_cast<char*>(workspace) + offset;
  }
  bool aligned() const {
    return std::all_of(addresses.begin(), addresses.end(),
                       [](void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; });
  }
  void* operator[](int64_t id) const {
    return addresses[std::find(ids.begin(), ids.end(), id) - ids.begin()];
  }
};

void fill(void* address, unsigned value, size_t count, CUstream_st* stream) {
  auto device = reinterpret_cast<CUdeviceptr>(address);
  if (library().fill(device, value, count, stream) != CUDA_SUCCESS) throw Refusal("fill");
}

bool run(const AttentionShape& s, bool backward, const AttentionBuffers& b, CUstream_st* stream,
         const AttentionWorkspace& workspace) {
  if (!cudnn_attention_accepts(s)) return false;
  Operands o;
  o.give(QUERY, b.q);
  o.give(KEY, b.k);
  o.give(VALUE, b.v);
  o.give(OUT, b.out);
  o.give(LOG_SUM, b.log_sum);
  if (s.lengths) {
    o.give(KEY_LENGTHS, b.lengths);
    o.cut(QUERY_LENGTHS, sizeof(int) * s.B);
  }
  if (backward) {
    o.give(DOUT, b.dout);
    o.give(DQ, b.dq);
    o.give(DK, b.dk);
    o.give(DV, b.dv);
    o.cut(ROW_SUM, sizeof(float) * s.B * s.H * s.T);
    if (!s.deterministic) o.cut(DQ_SUM, sizeof(float) * s.B * s.H * s.T * s.D);
  }
  if (!o.aligned()) return false;

  static Runtime& runtime = *new Runtime;
  std::lock_guard lock(runtime.mutex);
  try {
    CUdevice device = 0;
    if (library().current_device(&device) != CUDA_SUCCESS) return false;
    const Plan& plan = runtime.plan(device, s, backward);
    if (!plan.built) return false;
    void* memory = workspace(o.bytes + plan.workspace);
    if (!memory) return false;
    o.place(memory);
    void* rest = static_cast<char*>(memory) + o.bytes;
    if (s.lengths) {
      fill(o[QUERY_LENGTHS], s.T, s.B, stream);
      // Keys past a sequence's length have gradient zero, whether or not cuDNN writes it.
      size_t words = size_t(s.B) * s.S * s.K * s.D / 2;
      for (void* gradient : {b.dk, b.dv})
        if (backward) fill(gradient, 0, words, stream);
    }
    float minus_infinity = -std::numeric_limits<float>::infinity(), one = 1, scale = b.scale;
    int T = s.T, S = s.S;
    o.give(SCALE, &scale);
    if (s.causal || s.lengths) o.give(MINUS_INFINITY, &minus_infinity);
    if (s.causal && T != S) o.give(QUERY_COUNT, &T);
    if (s.causal && T != S) o.give(KEY_COUNT, &S);
    if (backward) o.give(ONE, &one);

    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, o.ids.size(), o.ids.data());
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, o.addresses.size(),
             o.addresses.data());
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &rest);
    pack.finalize("operands");
    cudnnHandle_t handle = runtime.handle(device);
    check(library().set_stream(handle, stream), "stream");
    check(library().execute(handle, plan.descriptor.raw(), pack.raw()), "execute");
    return true;
  } catch (const Refusal&) {
    return false;
  }
}

bool accepts_strides(const AttentionStrides& x) {
  if (!x.position) return true;
  return x.batch > 0 && x.position > 0 && x.head > 0 && (x.batch | x.position | x.head) % 8 == 0;
}

}  // namespace

bool cudnn_attention_found() { return library().loaded; }

bool cudnn_attention_accepts(const AttentionShape& s) {
  bool sizes = s.B > 0 && s.T > 1 && s.S > 1 && s.K > 0 && s.H > 0 && s.H % s.K == 0 && s.D >= 8 &&
               s.D <= 128 && s.D % 8 == 0;
  bool mask = !s.causal || (s.lengths ? s.T == s.S : s.T <= s.S);
  return sizes && mask && accepts_strides(s.q) && accepts_strides(s.k) && accepts_strides(s.v) &&
         library().loaded;
}

bool cudnn_attention_forward(const AttentionShape& shape, const AttentionBuffers& buffers,
                             CUstream_st* stream, const AttentionWorkspace& workspace) {
  return run(shape, false, buffers, stream, workspace);
}

bool cudnn_attention_backward(const AttentionShape& shape, const AttentionBuffers& buffers,
                              CUstream_st* stream, const AttentionWorkspace& workspace) {
  return run(shape, true, buffers, stream, workspace);
}

AttentionPlan cudnn_attention_plan(const AttentionShape& shape, bool backward,
                                   const std::string& device_json) {
  Plan plan;
  if (!library().loaded) plan.refusal = "cuDNN 9.16 or later is not found";
  if (!library().loaded) return plan;
  try {
    Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
               int64_t(device_json.size()), device_json.data());
    plan = make_plan(shape, backward, nullptr, device.finalize("device"));
  } catch (const Refusal& refusal) {
    plan.refusal = refusal.what();
  }
  return plan;
}

}  // namespace retort

#else  // built without cuDNN's headers

namespace retort {

bool cudnn_attention_found() { return false; }
bool cudnn_attention_accepts(const AttentionShape&) { return false; }
bool cudnn_attention_forward(const AttentionShape&, const AttentionBuffers&, CUstream_st*,
                             const AttentionWorkspace&) {
  return false;
}
bool cudnn_attention_backward(const AttentionShape&, const AttentionBuffers&, CUstream_st*,
                              const AttentionWorkspace&) {
  return false;
}
AttentionPlan cudnn_attention_plan(const AttentionShape&, bool, const std::string&) {
  AttentionPlan plan;
  plan.refusal = "built without cuDNN";
  return plan;
}

}  // namespace retort
#endif
