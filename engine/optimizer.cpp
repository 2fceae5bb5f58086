#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>

#include "engine/map.h"
#include "engine/suggest.h"
#include "kernels/optimizer.h"

namespace retort {
namespace {

constexpr int kWidth = 1024;  // numbers of one row of the flat passes

// Sum of squares of n numbers, in double: rows of 1,024, then the rows in order.
double square_sum(const Tensor& x) {
  int count = int((x.size() + kWidth - 1) / kWidth);
  Tensor part({count}, Dtype::f64, x.device());
  dispatch_real(x.dtype, [&]<class T>(T) {
    rows(x.device(), count, SquareSum<T>{x.data<T>(), part.data<double>(), kWidth, x.size()});
  });
  double s = 0;
  for (double v : part.values()) s += v;
  return s;
}

class AdamW : public Optimizer {
 public:
  AdamW(const OptimizerOptions& o, Parameters& p) : options_(o), parameters_(p) {
    const Tensor& w = p.weights();
    m_ = Tensor::zeros(w.shape, w.dtype, w.device());
    v_ = Tensor::zeros(w.shape, w.dtype, w.device());
    // Rows of the pass: each parameter's start is a multiple of `unit_`, so a row has one decay.
    unit_ = 64 / int(size_of(w.dtype));
    std::vector<double> decay(size_t(w.size()) / size_t(unit_), 0.0);
    if (o.weight_decay != 0)
      for (const Parameter& q : p.list()) {
        size_t begin = size_t(static_cast<char*>(q.value.storage->data) -
                              static_cast<char*>(w.storage->data)) /
                       size_of(w.dtype) / size_t(unit_);
        size_t rows = (q.value.size() + size_t(unit_) - 1) / size_t(unit_);
        for (size_t r = begin; r < begin + rows; r++) decay[r] = q.decay ? o.weight_decay : 0;
      }
    // Neighbours of one decay are one stretch; stretches are cut into rows of kWidth.
    for (size_t r = 0; r < decay.size();) {
      size_t end = r;
      while (end < decay.size() && decay[end] == decay[r]) end++;
      stretches_.push_back({r * size_t(unit_), (end - r) * size_t(unit_), decay[r]});
      r = end;
    }
  }
  void step(double rate) override {
    steps++;
    const Tensor &w = parameters_.weights(), &g = parameters_.grads();
    double c1 = rate / (1 - std::pow(options_.beta1, steps)),
           c2 = 1 / std::sqrt(1 - std::pow(options_.beta2, steps));
    dispatch_real(w.dtype, [&]<class T>(T) {
      for (const Stretch& s : stretches_) {
        int count = int((s.size + kWidth - 1) / kWidth);
        rows(w.device(), count,
             AdamWRow<T>{g.data<T>() + s.begin, w.data<T>() + s.begin, m_.data<T>() + s.begin,
                         v_.data<T>() + s.begin, T(1 - rate * s.decay), T(options_.beta1),
                         T(options_.beta2), T(options_.eps), T(c1), T(c2), kWidth, s.size});
      }
    });
  }
  std::map<std::string, Tensor> state() const override {
    return {{"adamw.m", m_}, {"adamw.v", v_}};
  }

 private:
  struct Stretch {
    size_t begin, size;
    double decay;
  };
  OptimizerOptions options_;
  Parameters& parameters_;
  Tensor m_, v_;
  int unit_;
  std::vector<Stretch> stretches_;
};

// Without scale_parameter, relative_step and first moment, as transformers' Adafactor with those
// off.
class Adafactor : public Optimizer {
 public:
  Adafactor(const OptimizerOptions& o, Parameters& p) : options_(o), parameters_(p) {
    for (const Parameter& q : p.list()) {
      const Tensor& w = q.value;
      if (w.rank() >= 2) {
        rows_.push_back(Tensor::zeros({w.rows()}, w.dtype, w.device()));
        columns_.push_back(Tensor::zeros({w.cols()}, w.dtype, w.device()));
      } else {
        rows_.push_back(Tensor::zeros(w.shape, w.dtype, w.device()));
        columns_.push_back({});
      }
    }
  }
  void step(double rate) override {
    steps++;
    double beta = 1 - std::pow(double(steps), options_.decay_rate), eps = 1e-30;
    for (size_t i = 0; i < parameters_.list().size(); i++) {
      const Parameter& p = parameters_.list()[i];
      Tensor w = p.value.detach(), g = grad(p.value), u = g.like();
      dispatch_real(w.dtype, [&]<class T>(T) { moments<T>(i, g, u, T(beta), T(eps)); });
      double rms = std::sqrt(square_sum(u) / double(std::max<size_t>(1, u.size())));
      double clip = std::max(1.0, rms / options_.clip_threshold);
      double keep = 1 - rate * (p.decay ? options_.weight_decay : 0);
      dispatch_real(w.dtype, [&]<class T>(T) {
        map(w.device(), w.size(), w.data<T>(), Descend<T>{T(keep), T(rate / clip)},
            static_cast<const T*>(w.data<T>()), static_cast<const T*>(u.data<T>()));
      });
    }
  }
  std::map<std::string, Tensor> state() const override {
    std::map<std::string, Tensor> s;
    for (size_t i = 0; i < rows_.size(); i++) {
      const std::string& name = parameters_.list()[i].name;
      s["adafactor.row." + name] = rows_[i];
      if (columns_[i].defined()) s["adafactor.column." + name] = columns_[i];
    }
    return s;
  }

 private:
  template <class T>
  void moments(size_t i, const Tensor& g, const Tensor& u, T beta, T eps) {
    Device d = g.device();
    const Tensor &r = rows_[i], &c = columns_[i];
    if (!c.defined()) {
      map(d, g.size(), r.data<T>(), FullMoment<T>{beta, eps}, static_cast<const T*>(r.data<T>()),
          static_cast<const T*>(g.data<T>()));
      map(d, g.size(), u.data<T>(), FullUpdate<T>{}, static_cast<const T*>(g.data<T>()),
          static_cast<const T*>(r.data<T>()));
      return;
    }
    int n = g.cols(), m = g.rows();
    rows(d, m, SquareMeanRow<T>{g.data<T>(), r.data<T>(), beta, eps, n});
    Tensor s = c.like();
    columns(d, m, n, s.data<T>(), SquarePlus<T>{g.data<T>(), eps, n});
    map(d, size_t(n), c.data<T>(), Blend<T>{beta, T(m)}, static_cast<const T*>(c.data<T>()),
        static_cast<const T*>(s.data<T>()));
    T mean_r = T(mean(r.detach()).item());
    rows(d, m, FactoredUpdate<T>{g.data<T>(), r.data<T>(), c.data<T>(), u.data<T>(), mean_r, n});
  }
  OptimizerOptions options_;
  Parameters& parameters_;
  std::vector<Tensor> rows_, columns_;
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& o, Parameters& p) {
  ENSURE(p.weights().defined(), "make_optimizer: the parameters are not flattened");
  if (o.name == "adamw") return std::make_unique<AdamW>(o, p);
  if (o.name == "adafactor") return std::make_unique<Adafactor>(o, p);
  std::string near = nearest(o.name, {"adamw", "adafactor"});
  fail("no optimizer \"" + o.name + "\"; there are adamw, adafactor" +
       (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

double clip_grad_norm(Parameters& parameters, double max_norm) {
  const Tensor& g = parameters.grads();
  double norm = std::sqrt(square_sum(g));
  if (max_norm > 0 && norm > max_norm && std::isfinite(norm))
    dispatch_real(g.dtype, [&]<class T>(T) {
      map(g.device(), g.size(), g.data<T>(), Rescale<T>{T(max_norm / norm)},
          static_cast<const T*>(g.data<T>()));
    });
  return norm;
}

double learning_rate(const Schedule& s, long step) {
  if (step < s.warmup) return s.peak * double(step + 1) / double(s.warmup);
  if (s.name == "constant") return s.peak;
  if (s.name == "inverse_sqrt") {
    double start = double(std::max(1L, s.warmup));
    return std::max(s.floor, s.peak * std::sqrt(start / (double(step - s.warmup) + start)));
  }
  ENSURE(s.name == "linear" || s.name == "cosine",
         "no schedule \"" + s.name + "\"; there are constant, linear, cosine, inverse_sqrt");
  ENSURE(s.total > 0, "schedule " + s.name + " needs the total number of updates");
  double x = std::min(1.0, double(step - s.warmup) / double(std::max(1L, s.total - s.warmup)));
  double share = s.name == "linear" ? 1 - x : 0.5 * (1 + std::cos(3.141592653589793 * x));
  return s.floor + (s.peak - s.floor) * share;
}

}  // namespace retort
