#include "losses/coarsen.h"

#include "engine/map.h"
#include "kernels/coarsen.h"

namespace retort {

Tensor coarsen(const Tensor& logits_in, const Tensor& ids_in) {
  ENSURE(logits_in.rank() == 2 && ids_in.rank() == 2 && ids_in.dtype == Dtype::i32 &&
             ids_in.dim(0) == logits_in.dim(0) && ids_in.cols() > 0 &&
             ids_in.cols() < logits_in.cols(),
         "coarsen: expected logits (N, V) and i32 ids (N, K) with 0 < K < V, got " +
             text(logits_in.shape) + " and " + name_of(ids_in.dtype) + " " + text(ids_in.shape));
  Tensor x = contiguous(logits_in), ids = contiguous(ids_in);
  int N = x.dim(0), V = x.cols(), K = ids.cols();
  std::vector<int> host = ids.ints(), row_of(size_t(V), -1);  // the last row that has a token
  for (size_t i = 0; i < host.size(); i++) {
    int row = int(i / size_t(K)), id = host[i];
    bool fits = id >= 0 && id < V && row_of[size_t(id)] != row;
    ENSURE(fits, "coarsen: row " + std::to_string(row) + ": id " + std::to_string(id) +
                     (id >= 0 && id < V ? " stands twice"
                                        : " is outside [0, " + std::to_string(V) + ")"));
    row_of[size_t(id)] = row;
  }
  Tensor y({N, K + 1}, x.dtype, x.device()), others = x.like(), tail({N, 2}, x.dtype, x.device());
  device_copy(x.device(), others.bytes(), x.device(), x.bytes(), x.size() * size_of(x.dtype));
  dispatch_real(x.dtype, [&]<class T>(T) {
    rows(x.device(), N, Put<T>{nullptr, ids.data<int>(), others.data<T>(), 0, V, K});
    rows(x.device(), N,
         Coarsen<T>{x.data<T>(), others.data<T>(), ids.data<int>(), y.data<T>(), tail.data<T>(), K,
                    V});
  });
  Tensor logits = record("coarsen", y, {x}, [x = x.detach(), tail, ids](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx = x.like();
    int N = x.dim(0), V = x.cols(), K = ids.cols();
    dispatch_real(x.dtype, [&]<class T>(T) {
      rows(x.device(), N,
           CoarsenBackward<T>{x.data<T>(), tail.data<T>(), dy.data<T>(), dx.data<T>(), K, V});
      rows(x.device(), N, Put<T>{dy.data<T>(), ids.data<int>(), dx.data<T>(), K + 1, V, K});
    });
    return Grads{dx};
  });
  return log_softmax(logits);
}

}  // namespace retort
