#include "losses/uld.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "engine/map.h"
#include "kernels/pairwise.h"
#include "kernels/sort.h"

namespace retort {
namespace {

struct Sorted {
  Tensor keys, ids;  // (N, n) falling, and where they stood
};

// Rows in falling order, filled up with -inf to n, a power of 2.
Sorted sorted(const Tensor& x, int n) {
  int N = x.dim(0);
  Sorted s{Tensor({N, n}, x.dtype, x.device()), Tensor({N, n}, Dtype::i32, x.device())};
  dispatch_real(x.dtype, [&]<class T>(T) {
    T* keys = s.keys.data<T>();
    int* ids = s.ids.data<int>();
    rows(x.device(), N, SortStart<T>{x.data<T>(), keys, ids, x.cols(), n});
    for (int block = 2; block <= n; block *= 2)
      for (int distance = block / 2; distance > 0; distance /= 2)
        rows(x.device(), N, SortStep<T>{keys, ids, block, distance, n / 2});
  });
  return s;
}

}  // namespace

Tensor sorted_distance(const Tensor& student_in, const Tensor& teacher_in, double temperature) {
  ENSURE(student_in.rank() == 2 && teacher_in.rank() == 2 &&
             student_in.dim(0) == teacher_in.dim(0) && student_in.dtype == teacher_in.dtype &&
             student_in.cols() > 0 && teacher_in.cols() > 0,
         "uld: expected student logits (N, V) and teacher logits (N, W) of one type, got " +
             text(student_in.shape) + " and " + text(teacher_in.shape));
  ENSURE(temperature > 0 && std::isfinite(temperature),
         "uld: the temperature must be positive, got " + std::to_string(temperature));
  Tensor x = contiguous(student_in), y = contiguous(teacher_in.detach());
  int N = x.dim(0), n = int(std::bit_ceil(unsigned(std::max(x.cols(), y.cols()))));
  Tensor loss({N}, x.dtype, x.device()), dx = x.like();
  Sorted student = sorted(x, n), teacher = sorted(y, n);
  std::vector<int> every(size_t(N), 0);
  std::iota(every.begin(), every.end(), 0);
  Tensor index = Tensor::from(every, {N}, x.device());
  dispatch_real(x.dtype, [&]<class T>(T) {
    T k = T(1 / temperature);
    rows(x.device(), N,
         SortedDistance<T>{student.keys.data<T>(), teacher.keys.data<T>(), student.ids.data<int>(),
                           loss.data<T>(), dx.data<T>(), k, x.cols(), n});
    rows(x.device(), N, SoftmaxSlope<T>{x.data<T>(), index.data<int>(), dx.data<T>(), k, x.cols()});
  });
  return record("uld", loss, {x}, [dx](const Tensor& dy_in) {
    scale_rows_in_place(dx, contiguous(dy_in));  // a tape is used once
    return Grads{dx};
  });
}

}  // namespace retort
