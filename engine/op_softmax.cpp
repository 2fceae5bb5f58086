// Softmax, log-softmax, log-sum-exp over the last dimension.
#include "engine/map.h"
#include "kernels/softmax.h"

namespace retort {

Tensor softmax(const Tensor& x_in) {
  Tensor x = contiguous(x_in), y = x.like();
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(), Softmax<T>{x.data<T>(), y.data<T>(), x.cols()});
  });
  return record("softmax", y, {x}, [y](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx = y.like();
    dispatch(y.dtype, [&]<class T>(T) {
      rows(y.device(), y.rows(),
           SoftmaxBackward<T>{y.data<T>(), dy.data<T>(), dx.data<T>(), y.cols()});
    });
    return Grads{dx};
  });
}

Tensor log_softmax(const Tensor& x_in) {
  Tensor x = contiguous(x_in), y = x.like();
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(), LogSoftmax<T>{x.data<T>(), y.data<T>(), x.cols()});
  });
  return record("log_softmax", y, {x}, [y](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx = y.like();
    dispatch(y.dtype, [&]<class T>(T) {
      rows(y.device(), y.rows(),
           LogSoftmaxBackward<T>{y.data<T>(), dy.data<T>(), dx.data<T>(), y.cols()});
    });
    return Grads{dx};
  });
}

Tensor logsumexp(const Tensor& x_in) {
  Tensor x = contiguous(x_in);
  Shape shape = x.shape;
  if (!shape.empty()) shape.pop_back();
  if (shape.empty()) shape = {1};
  Tensor y(shape, x.dtype, x.device());
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(), LogSumExp<T>{x.data<T>(), y.data<T>(), x.cols()});
  });
  return record("logsumexp", y, {x}, [x = x.detach(), y](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx = x.like();
    dispatch(x.dtype, [&]<class T>(T) {
      rows(x.device(), x.rows(),
           LogSumExpBackward<T>{x.data<T>(), y.data<T>(), dy.data<T>(), dx.data<T>(), x.cols()});
    });
    return Grads{dx};
  });
}

}  // namespace retort
