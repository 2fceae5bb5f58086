// LayerNorm and RMSNorm over the last dimension.
#include "engine/map.h"
#include "kernels/norm.h"

namespace retort {
namespace {
void check_gain(const char* name, const Tensor& x, const Tensor& gain) {
  ENSURE(x.rank() >= 1 && gain.shape == Shape{x.cols()} && gain.dtype == x.dtype,
         std::string(name) + ": expected gain and bias of the last dimension of x: " +
             text(x.shape) + " and " + text(gain.shape));
}
}  // namespace

Tensor layer_norm(const Tensor& x_in, const Tensor& gain, const Tensor& bias, double eps) {
  check_gain("layer_norm", x_in, gain);
  check_gain("layer_norm", x_in, bias);
  Tensor x = contiguous(x_in), g = contiguous(gain.detach()), y = x.like();
  Tensor mean({x.rows()}, real_of(x.dtype), x.device()), r = mean.like();
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(),
         LayerNorm<T>{x.data<T>(), g.data<T>(), contiguous(bias.detach()).data<T>(), y.data<T>(),
                      mean.data<Real<T>>(), r.data<Real<T>>(), Real<T>(eps), x.cols()});
  });
  return record(
      "layer_norm", y, {x, gain, bias}, [x = x.detach(), g, mean, r](const Tensor& dy_in) {
        Tensor dy = contiguous(dy_in), dx = x.like(), dg(g.shape, real_of(x.dtype), x.device()),
               db = dg.like();
        int n = x.cols();
        dispatch(x.dtype, [&]<class T>(T) {
          rows(x.device(), x.rows(),
               LayerNormBackward<T>{x.data<T>(), g.data<T>(), dy.data<T>(), mean.data<Real<T>>(),
                                    r.data<Real<T>>(), dx.data<T>(), n});
          columns(x.device(), x.rows(), n, dg.data<Real<T>>(),
                  GainGradient<T>{x.data<T>(), dy.data<T>(), mean.data<Real<T>>(),
                                  r.data<Real<T>>(), n});
          columns(x.device(), x.rows(), n, db.data<Real<T>>(), BiasGradient<T>{dy.data<T>(), n});
        });
        return Grads{dx, dg, db};
      });
}

Tensor rms_norm(const Tensor& x_in, const Tensor& gain, double eps) {
  check_gain("rms_norm", x_in, gain);
  Tensor x = contiguous(x_in), g = contiguous(gain.detach()), y = x.like();
  Tensor r({x.rows()}, real_of(x.dtype), x.device());
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(),
         RmsNorm<T>{x.data<T>(), g.data<T>(), y.data<T>(), r.data<Real<T>>(), Real<T>(eps),
                    x.cols()});
  });
  return record("rms_norm", y, {x, gain}, [x = x.detach(), g, r](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx = x.like(), dg(g.shape, real_of(x.dtype), x.device());
    int n = x.cols();
    dispatch(x.dtype, [&]<class T>(T) {
      rows(x.device(), x.rows(),
           RmsNormBackward<T>{x.data<T>(), g.data<T>(), dy.data<T>(), r.data<Real<T>>(),
                              dx.data<T>(), n});
      const Real<T>* no_mean = nullptr;
      columns(x.device(), x.rows(), n, dg.data<Real<T>>(),
              GainGradient<T>{x.data<T>(), dy.data<T>(), no_mean, r.data<Real<T>>(), n});
    });
    return Grads{dx, dg};
  });
}

}  // namespace retort
