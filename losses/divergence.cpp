// The registry of divergences, one line each, and the operator over them.
#include "losses/divergence.h"

#include <charconv>
#include <cmath>

#include "engine/map.h"
#include "engine/suggest.h"
#include "kernels/divergence.h"

namespace retort {
namespace {

struct Call {
  double parameter;
  const Tensor &teacher, &student, &mask, &mixture, &dmixture, &loss, &ds;
  const DivergenceOptions& options;
  bool needs_p, needs_q;
};

template <template <class> class D>
void run(const Call& c) {
  dispatch_real(c.student.dtype, [&]<class T>(T) {
    rows(c.student.device(), c.student.rows(),
         DivergenceRow<D<T>, T>{
             D<T>(c.parameter), c.teacher.data<T>(), c.student.data<T>(),
             c.mask.defined() ? c.mask.data<int>() : nullptr,
             c.mixture.defined() ? c.mixture.data<T>() : nullptr,
             c.mixture.defined() ? c.dmixture.data<T>() : nullptr, c.loss.data<T>(), c.ds.data<T>(),
             !c.options.check || c.ds.storage != c.teacher.storage, T(1 / c.options.temperature),
             c.needs_p && c.options.zero == ZeroPolicy::floor ? T(c.options.floor) : T(-INFINITY),
             c.options.zero == ZeroPolicy::ignore, c.needs_p, c.needs_q, c.student.cols()});
  });
}

struct Entry {
  DivergenceInfo info;
  void (*run)(const Call&);
  bool needs_p, needs_q, mixes;
  double low, high;  // the parameter lies strictly between
};

template <template <class> class D>
Entry entry(const char* name, const char* formula, const char* parameter = "", double standard = 0,
            double low = 0, double high = 0) {
  return {{name, formula, parameter, standard},
          run<D>,
          D<double>::needs_p,
          D<double>::needs_q,
          D<double>::mixes,
          low,
          high};
}

const std::vector<Entry>& registry() {
  static const std::vector<Entry> entries = {
      entry<Kl>("kl", "KL(teacher||student) = sum p log p/q"),
      entry<Rkl>("rkl", "KL(student||teacher) = sum q log q/p"),
      entry<Js>("js", "gjs with beta = 1/2"),
      entry<Gjs>("gjs", "b KL(p||m) + (1-b) KL(q||m), m = b p + (1-b) q", "beta", 0.5, 0, 1),
      entry<Tvd>("tvd", "1/2 sum |p - q|"),
      entry<SkewKl>("skew_kl", "KL(p || a p + (1-a) q)", "alpha", 0.1, 0, 1),
      entry<SkewRkl>("skew_rkl", "KL(q || (1-a) p + a q)", "alpha", 0.1, 0, 1),
      entry<Alpha>("alpha", "(sum p^a q^(1-a) - 1) / (a (a-1))", "alpha", 0.5, -10, 10),
      entry<Hellinger>("hellinger", "1 - sum sqrt(p q)"),
      entry<Jeffreys>("jeffreys", "sum (p - q) log p/q"),
      entry<Chi2>("chi2", "sum p^2/q - 1"),
      entry<Engine>("engine", "-sum q log p"),
  };
  return entries;
}

const Entry& find(const std::string& name) {
  std::vector<std::string> names;
  std::string list;
  for (const Entry& e : registry()) {
    if (e.info.name == name) return e;
    names.push_back(e.info.name);
    list += (list.empty() ? "" : ", ") + e.info.name;
  }
  fail("no divergence \"" + name + "\"; there are: " + list + did_you_mean(name, names));
}

// Why a row's loss is NaN or, where it overflows, infinite, as one line.
[[noreturn]] void explain(const Entry& e, const Tensor& teacher, const Tensor& student, int row,
                          bool overflows, const DivergenceOptions& o, bool needs_p, bool needs_q) {
  if (overflows)
    fail("divergence " + e.info.name + ": row " + std::to_string(row) +
         ": the loss or its gradient overflows; use a higher temperature, or " +
         (student.dtype == Dtype::f64 ? "another loss" : "float64"));
  NoGrad quiet;
  std::vector<double> t = slice(teacher, 0, row, 1).values(),
                      s = slice(student, 0, row, 1).values();
  std::string at = "divergence " + e.info.name + ": row " + std::to_string(row) + ", token ";
  bool t_empty = true, s_empty = true;
  for (size_t i = 0; i < t.size(); i++) {
    for (auto [who, x] : {std::pair<const char*, double>{"teacher", t[i]}, {"student", s[i]}})
      if (std::isnan(x) || x == INFINITY)
        fail(at + std::to_string(i) + ": the " + who + "'s logit is " +
             (std::isnan(x) ? "NaN" : "+inf"));
    t_empty &= t[i] == -INFINITY, s_empty &= s[i] == -INFINITY;
  }
  if (t_empty || s_empty)
    fail("divergence " + e.info.name + ": row " + std::to_string(row) + ": all logits of the " +
         (t_empty ? "teacher" : "student") + " are -inf");
  for (size_t i = 0; i < t.size(); i++) {
    if (needs_p && t[i] == -INFINITY && o.zero == ZeroPolicy::error)
      fail(at + std::to_string(i) +
           ": the teacher's probability is exactly 0 and the loss divides by it; floor "
           "log p (zero = floor) or ignore such tokens (zero = ignore)");
    if (needs_q && s[i] == -INFINITY && (t[i] > -INFINITY || o.zero == ZeroPolicy::floor))
      fail(at + std::to_string(i) +
           ": the student's probability is exactly 0 where the teacher's is not: the loss "
           "is infinite");
  }
  fail("divergence " + e.info.name + ": row " + std::to_string(row) + ": not a number");
}

}  // namespace

const std::vector<DivergenceInfo>& divergences() {
  static const std::vector<DivergenceInfo> infos = [] {
    std::vector<DivergenceInfo> v;
    for (const Entry& e : registry()) v.push_back(e.info);
    return v;
  }();
  return infos;
}

DivergenceName parse_divergence(const std::string& text) {
  size_t colon = text.find(':');
  DivergenceName d{text.substr(0, colon)};
  const Entry& e = find(d.name);
  d.parameter = e.info.default_parameter;
  if (colon == std::string::npos) return d;
  std::string number = text.substr(colon + 1);
  ENSURE(!e.info.parameter.empty(),
         "divergence " + d.name + " takes no parameter, got \"" + text + "\"");
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), d.parameter);
  ENSURE(error == std::errc() && end == number.data() + number.size(),
         "divergence " + d.name + ": \"" + number + "\" is not a number; write " + d.name + ":0.5");
  check_parameter(d);
  return d;
}

void check_parameter(const DivergenceName& d) {
  const Entry& e = find(d.name);
  if (e.info.parameter.empty()) return;
  ENSURE(d.parameter > e.low && d.parameter < e.high,
         "divergence " + d.name + ": " + e.info.parameter + " must lie between " +
             std::to_string(int(e.low)) + " and " + std::to_string(int(e.high)) +
             ", ends excluded; got " + std::to_string(d.parameter));
  ENSURE(d.name != "alpha" || (std::abs(d.parameter) > 1e-3 && std::abs(d.parameter - 1) > 1e-3),
         "divergence alpha: within 0.001 of 0 and 1 its terms cancel; rkl and kl are its limits "
         "there: use those, got " +
             std::to_string(d.parameter));
}

Tensor divergence(const DivergenceName& name, Tensor teacher, const Tensor& student_in,
                  const DivergenceOptions& options) {
  const Entry& e = find(name.name);
  check_parameter(name);
  ENSURE(teacher.rank() == 2 && teacher.shape == student_in.shape &&
             teacher.dtype == student_in.dtype && teacher.cols() > 0,
         "divergence " + name.name +
             ": expected teacher and student logits (N, V) of one shape and type, got " +
             text(teacher.shape) + " " + name_of(teacher.dtype) + " and " + text(student_in.shape) +
             " " + name_of(student_in.dtype));
  ENSURE(options.temperature > 0 && std::isfinite(options.temperature),
         "divergence " + name.name + ": the temperature must be positive, got " +
             std::to_string(options.temperature));
  ENSURE(!options.mask.defined() ||
             (options.mask.shape == Shape{student_in.dim(0)} && options.mask.dtype == Dtype::i32),
         "divergence " + name.name + ": expected an i32 mask (N), got " + text(options.mask.shape));
  teacher = contiguous(teacher.detach());
  Tensor student = contiguous(student_in);
  Tensor mask = options.mask.defined() ? contiguous(options.mask) : Tensor();
  ENSURE(
      !options.mixture.defined() || (e.mixes && options.mixture.shape == Shape{student_in.dim(0)} &&
                                     options.mixture.dtype == student_in.dtype),
      "divergence " + name.name + ": a mixture (N) of the logits' type is for skew_kl and " +
          "skew_rkl, got " + text(options.mixture.shape));
  Tensor mixture = options.mixture.defined() ? contiguous(options.mixture.detach()) : Tensor();
  bool ours = teacher.storage.use_count() == 1 && !teacher.storage->owner &&
              student.device() == Device::cpu;
  Tensor loss({student.dim(0)}, student.dtype, student.device()),
      dmixture = loss.like(), ds = ours ? teacher : student.like();
  bool alpha = name.name == "alpha";  // its exponents decide what it divides by
  bool needs_p = e.needs_p || (alpha && name.parameter < 0),
       needs_q = e.needs_q || (alpha && name.parameter > 1);
  e.run({name.parameter, teacher, student, mask, mixture, dmixture, loss, ds, options, needs_p,
         needs_q});
  std::vector<double> values = options.check ? loss.values() : std::vector<double>();
  for (size_t i = 0; i < values.size(); i++)
    if (!std::isfinite(values[i]))
      explain(e, teacher, student, int(i), std::isinf(values[i]), options, needs_p, needs_q);
  return record("divergence", loss, {student, options.mixture},
                [ds, dmixture, mixes = bool(options.mixture.node)](const Tensor& dy_in) {
                  Tensor dy = contiguous(dy_in);
                  scale_rows_in_place(ds, dy);  // a tape is used once
                  return Grads{ds, mixes ? mul(dy, dmixture) : Tensor()};
                });
}

}  // namespace retort
