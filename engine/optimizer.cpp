#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>

#include "engine/map.h"
#include "engine/suggest.h"
#include "kernels/optimizer.h"

namespace retort {
namespace {

constexpr int kWidth = 1024;  // numbers of one row of the flat passes

int row_count(size_t size) { return int((size + kWidth - 1) / kWidth); }

// sqrt(sum of squares / count) as one number on the device: sums of rows of 1,024 in double, then
// of the rows in order.
Tensor root_of_squares(const Tensor& x, double count) {
  int n = row_count(x.size());
  Tensor part({n}, Dtype::f64, x.device()), root({1}, Dtype::f64, x.device());
  dispatch_real(x.dtype, [&]<class T>(T) {
    rows(x.device(), n, SquareSum<T>{x.data<T>(), part.data<double>(), kWidth, x.size()});
  });
  rows(x.device(), 1, Root{part.data<double>(), root.data<double>(), count, n});
  return root;
}

const double* norm_of(const Tensor& norm) { return norm.defined() ? norm.data<double>() : nullptr; }
bf16* copy_of(const Parameters& p, size_t start) {
  return p.copy().defined() ? p.copy().data<bf16>() + start : nullptr;
}

class AdamW : public Optimizer {
 public:
  AdamW(const OptimizerOptions& o, Parameters& p) : options_(o), parameters_(p) {
    const Tensor& w = p.weights();
    m_ = Tensor::zeros(w.shape, w.dtype, w.device());
    v_ = Tensor::zeros(w.shape, w.dtype, w.device());
    // Neighbours of one decay are one stretch (padding is zeros and stays so).
    for (const Parameter& q : p.list()) {
      double decay = q.decay ? o.weight_decay : 0;
      if (stretches_.empty() || stretches_.back().decay != decay)
        stretches_.push_back({q.start, 0, decay});
      stretches_.back().size = q.start + q.value.size() - stretches_.back().begin;
    }
  }
  void step(double rate, const Tensor& norm) override {
    steps++;
    const Tensor &w = parameters_.weights(), &g = parameters_.grads();
    double c1 = rate / (1 - std::pow(options_.beta1, steps)),
           c2 = 1 / std::sqrt(1 - std::pow(options_.beta2, steps));
    dispatch_real(w.dtype, [&]<class T>(T) {
      for (const Stretch& s : stretches_)
        rows(w.device(), row_count(s.size),
             AdamWRow<T>{g.data<T>() + s.begin, w.data<T>() + s.begin, m_.data<T>() + s.begin,
                         v_.data<T>() + s.begin, copy_of(parameters_, s.begin), norm_of(norm),
                         T(1 - rate * s.decay), T(options_.beta1), T(options_.beta2),
                         T(options_.eps), T(c1), T(c2), kWidth, s.size});
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
  std::vector<Stretch> stretches_;
};

// Without scale_parameter, relative_step and first moment, as transformers' Adafactor with those
// off.
class Adafactor : public Optimizer {
 public:
  Adafactor(const OptimizerOptions& o, Parameters& p) : options_(o), parameters_(p) {
    Dtype dtype = p.weights().dtype;
    for (const Parameter& q : p.list()) {
      const Tensor& w = q.value;
      bool factored = w.rank() >= 2;
      rows_.push_back(Tensor::zeros(factored ? Shape{w.rows()} : w.shape, dtype, w.device()));
      columns_.push_back(factored ? Tensor::zeros({w.cols()}, dtype, w.device()) : Tensor());
    }
  }
  void step(double rate, const Tensor& norm) override {
    steps++;
    for (size_t i = 0; i < parameters_.list().size(); i++) {
      const Parameter& p = parameters_.list()[i];
      if (p.value.size())
        dispatch_real(parameters_.weights().dtype,
                      [&]<class T>(T) { step<T>(p, rows_[i], columns_[i], rate, norm_of(norm)); });
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
  void step(const Parameter& p, const Tensor& r, const Tensor& c, double rate,
            const double* norm) const {
    Tensor w = parameters_.master(p), g = grad(p.value), u = g.like();
    Device d = w.device();
    T beta = T(1 - std::pow(double(steps), options_.decay_rate)), eps = T(1e-30);
    int n = int(w.size());
    if (c.defined()) {
      int cols = w.cols(), count = w.rows();
      rows(d, count, SquareMeanRow<T>{g.data<T>(), r.data<T>(), norm, beta, eps, cols});
      Tensor s = c.like(), mean_r = mean(r);
      columns(d, count, cols, s.data<T>(), SquarePlus<T>{g.data<T>(), eps, cols});
      rows(d, 1, BlendRow<T>{s.data<T>(), c.data<T>(), norm, beta, T(count), cols});
      rows(d, count,
           FactoredUpdate<T>{g.data<T>(), r.data<T>(), c.data<T>(), mean_r.data<T>(), u.data<T>(),
                             cols});
    } else {
      rows(d, 1, FullUpdate<T>{g.data<T>(), r.data<T>(), u.data<T>(), norm, beta, eps, n});
    }
    Tensor rms = root_of_squares(u, n);
    double keep = 1 - rate * (p.decay ? options_.weight_decay : 0);
    rows(d, row_count(w.size()),
         Descend<T>{u.data<T>(), w.data<T>(), copy_of(parameters_, p.start), rms.data<double>(),
                    norm, options_.clip_threshold, T(keep), T(rate), kWidth, w.size()});
  }
  OptimizerOptions options_;
  Parameters& parameters_;
  std::vector<Tensor> rows_, columns_;
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& o, Parameters& p) {
  ENSURE(p.weights().defined(), "make_optimizer: the parameters are not flattened");
  MemoryScope scope(MemoryClass::optimizer);
  if (o.name == "adamw") return std::make_unique<AdamW>(o, p);
  if (o.name == "adafactor") return std::make_unique<Adafactor>(o, p);
  std::string near = nearest(o.name, {"adamw", "adafactor"});
  fail("no optimizer \"" + o.name + "\"; there are adamw, adafactor" +
       (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

Tensor clip_grad_norm(Parameters& parameters, double max_norm) {
  const Tensor& g = parameters.grads();
  Tensor norm = root_of_squares(g, 1);
  if (max_norm > 0)
    dispatch_real(g.dtype, [&]<class T>(T) {
      rows(g.device(), row_count(g.size()),
           Rescale<T>{g.data<T>(), norm.data<double>(), max_norm, kWidth, g.size()});
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
