// Of the registered losses, and between divergences: identities, inequalities, limits.
#include <algorithm>
#include <cmath>
#include <map>

#include "engine/gradcheck.h"
#include "losses/cross_entropy.h"
#include "losses/divergence.h"
#include "losses/invariants.h"
#include "losses/squared_error.h"

namespace retort {
namespace {

using Numbers = std::vector<double>;

// Losses of rows by name; "~kl" is kl with teacher and student exchanged.
struct Values {
  Tensor teacher, student;
  Numbers operator()(const std::string& name) const {
    bool swapped = name[0] == '~';
    return divergence(parse_divergence(name.substr(swapped)), swapped ? student : teacher,
                      swapped ? teacher : student)
        .values();
  }
};

// The worst row of two columns, relative to the second.
double worst(const Numbers& a, const Numbers& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); i++)
    if (a[i] != b[i]) most = worse(std::abs(a[i] - b[i]) / std::abs(b[i]), most);
  return most;
}
// How far a column is above the other.
double above(const Numbers& a, const Numbers& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); i++) most = worse(a[i] - b[i], most);
  return most;
}
Numbers each(const Numbers& x, double (*f)(double)) {
  Numbers y(x.size());
  std::transform(x.begin(), x.end(), y.begin(), f);
  return y;
}
// sum_k weights_k columns_k
Numbers sum_of(std::initializer_list<std::pair<double, Numbers>> terms) {
  Numbers y(terms.begin()->second.size());
  for (const auto& [w, x] : terms)
    for (size_t i = 0; i < y.size(); i++) y[i] += w * x[i];
  return y;
}

std::vector<Invariant> between() {
  std::vector<Invariant> list;
  auto add = [&](const char* loss, const char* property, double f64, double f32, double spread,
                 auto error) {
    list.push_back({loss, property,
                    [=](Dtype dtype) {
                      return error(Values{random_tensor({50, 33}, 5, spread).to(dtype),
                                          random_tensor({50, 33}, 6, spread).to(dtype)});
                    },
                    f64, f32});
  };
  auto same = [&](const char* loss, const char* property, const std::string& a,
                  const std::string& b) {
    add(loss, property, 1e-12, 1e-4, 2, [=](const Values& x) { return worst(x(a), x(b)); });
  };
  for (const char* name : {"js", "tvd", "hellinger", "jeffreys", "alpha:0.5"})
    same(name, "symmetric", name, std::string("~") + name);
  same("rkl", "is kl with p and q exchanged", "rkl", "~kl");
  same("skew_rkl:0.1", "is skew_kl:0.1 with p and q exchanged", "skew_rkl:0.1", "~skew_kl:0.1");
  same("gjs:0.3", "is gjs:0.7 with p and q exchanged", "gjs:0.3", "~gjs:0.7");
  same("alpha:0.3", "is alpha:0.7 with p and q exchanged", "alpha:0.3", "~alpha:0.7");
  add("js", "is gjs:0.5", 0, 0, 2, [](const Values& x) { return worst(x("js"), x("gjs:0.5")); });
  add("gjs:0.3", "is its two halves", 1e-12, 1e-4, 2, [](const Values& x) {
    return worst(sum_of({{0.3, x("skew_kl:0.3")}, {0.7, x("skew_rkl:0.7")}}), x("gjs:0.3"));
  });
  add("jeffreys", "is kl + rkl", 1e-12, 1e-4, 2, [](const Values& x) {
    return worst(sum_of({{1, x("kl")}, {1, x("rkl")}}), x("jeffreys"));
  });
  add("alpha:0.5", "is 4 hellinger", 1e-12, 1e-4, 2, [](const Values& x) {
    return worst(sum_of({{4, x("hellinger")}}), x("alpha:0.5"));
  });
  add("chi2", "is 2 alpha:2", 1e-12, 1e-4, 2, [](const Values& x) {
    return worst(sum_of({{2, x("alpha:2")}}), x("chi2"));
  });
  add("engine", "is rkl + entropy of q", 1e-12, 1e-4, 2, [](const Values& x) {
    Tensor lq = log_softmax(x.student);
    Numbers entropy = scale(sum(mul(exp(lq), lq), 1), -1).values();
    return worst(sum_of({{1, x("rkl")}, {1, entropy}}), x("engine"));
  });
  // Inequalities, by how much they are broken.
  add("kl", "Pinsker: at least 2 tvd^2", 0, 0, 3, [](const Values& x) {
    return above(each(x("tvd"), [](double t) { return 2 * t * t; }), x("kl"));
  });
  add("js", "at most log 2", 0, 0, 3,
      [](const Values& x) { return above(x("js"), Numbers(50, std::log(2))); });
  add("js", "at most log 2 tvd", 1e-15, 1e-6, 3, [](const Values& x) {
    return above(x("js"), sum_of({{std::log(2), x("tvd")}}));
  });
  add("hellinger", "at most tvd", 1e-15, 1e-6, 3,
      [](const Values& x) { return above(x("hellinger"), x("tvd")); });
  add("tvd", "at most sqrt(h (2 - h)), h hellinger", 1e-15, 1e-6, 3, [](const Values& x) {
    return above(x("tvd"), each(x("hellinger"), [](double h) { return std::sqrt(h * (2 - h)); }));
  });
  add("chi2", "at least exp(kl) - 1", 1e-12, 1e-3, 1, [](const Values& x) {
    return above(each(x("kl"), [](double d) { return std::expm1(d); }), x("chi2"));
  });
  // Limits: near enough, and half as far at half the distance.
  auto limit = [&](const char* loss, const char* property, auto at, double first) {
    add(loss, property, 0.05, 0.05, 1, [=](const Values& x) {
      auto [value, end] = at(x, first);
      auto [nearer, same_end] = at(x, first / 2);
      double far = worst(value, end), near = worst(nearer, end);
      return worse(std::abs(far / near - 2), near);
    });
  };
  auto text = [](const char* name, double a) { return name + std::to_string(a); };
  using Two = std::pair<Numbers, Numbers>;
  limit(
      "alpha", "towards 1 is kl",
      [=](const Values& x, double a) {
        return Two{x(text("alpha:", 1 - a)), x("kl")};
      },
      0.02);
  limit(
      "alpha", "towards 0 is rkl",
      [=](const Values& x, double a) {
        return Two{x(text("alpha:", a)), x("rkl")};
      },
      0.02);
  limit(
      "skew_kl", "alpha towards 0 is kl",
      [=](const Values& x, double a) {
        return Two{x(text("skew_kl:", a)), x("kl")};
      },
      0.001);
  limit(
      "skew_rkl", "alpha towards 0 is rkl",
      [=](const Values& x, double a) {
        return Two{x(text("skew_rkl:", a)), x("rkl")};
      },
      0.001);
  limit(
      "gjs", "over beta, beta towards 0, is kl",
      [=](const Values& x, double b) {
        return Two{sum_of({{1 / b, x(text("gjs:", b))}}), x("kl")};
      },
      0.001);
  limit(
      "gjs", "over 1 - beta, beta towards 1, is rkl",
      [=](const Values& x, double b) {
        return Two{sum_of({{1 / b, x(text("gjs:", 1 - b))}}), x("rkl")};
      },
      0.001);
  return list;
}

// Cross-entropy of the tokens that the teacher holds likeliest; masked rows have no label.
Tensor hard_labels(const Tensor& teacher, const Tensor& student, const Tensor& mask,
                   double temperature) {
  Numbers t = teacher.values();
  std::vector<int> labels, kept = mask.defined() ? mask.ints() : std::vector<int>();
  size_t V = size_t(teacher.cols());
  for (size_t row = 0; row < t.size() / V; row++) {
    auto begin = t.begin() + long(row * V);
    int best = int(std::max_element(begin, begin + long(V)) - begin);
    labels.push_back(kept.empty() || kept[row] ? best : -1);
  }
  return cross_entropy(scale(student, 1 / temperature), Tensor::from(labels, {int(labels.size())}),
                       0.1);
}

}  // namespace

std::vector<std::string> divergence_examples() {
  std::vector<std::string> names;
  for (const DivergenceInfo& d : divergences()) {
    if (d.parameter.empty())
      names.push_back(d.name);
    else
      for (const char* a : {"0.15", "0.5", "0.9"}) names.push_back(d.name + ":" + a);
  }
  return names;
}

std::vector<Invariant> invariants() {
  std::vector<Invariant> list;
  auto take = [&](std::vector<Invariant> more) {
    for (Invariant& i : more) list.push_back(std::move(i));
  };
  for (const std::string& name : divergence_examples()) {
    CheckedLoss l{name, [name](const Tensor& t, const Tensor& s, const Tensor& mask, double T) {
                    DivergenceOptions o;
                    o.temperature = T, o.mask = mask;
                    return divergence(parse_divergence(name), t, s, o);
                  }};
    l.zero_at_teacher = name != "engine";
    take(invariants_of(l));
  }
  take(between());
  CheckedLoss ce{"ce", hard_labels};
  ce.zero_at_teacher = false;
  take(invariants_of(ce));
  CheckedLoss mse{"mse", [](const Tensor& t, const Tensor& s, const Tensor&, double T) {
                    return squared_error(s, t, T);
                  }};
  mse.of_softmax = mse.masks = false;
  take(invariants_of(mse));
  take(transport_invariants());
  return list;
}

}  // namespace retort
