#include "distill/simplex.h"

#include <cmath>

#include "engine/tape.h"
#include "losses/divergence.h"

namespace retort {
namespace {

struct Gradients {
  std::vector<double> loss, of_logits;  // (N), (N V)
};

// D of one teacher to each student and its gradient in the student's logits, both given as
// distributions.
Gradients gradients(const std::string& name, const std::vector<double>& teacher,
                    const std::vector<double>& students, double temperature = 1) {
  int V = int(teacher.size()), N = int(students.size()) / V;
  Tensor p = contiguous(expand(log(Tensor::from(teacher, {1, V}, Dtype::f64)), {N, V}));
  Tensor q = parameter(log(Tensor::from(students, {N, V}, Dtype::f64)));
  DivergenceOptions options;
  options.temperature = temperature;
  Tensor loss = divergence(parse_divergence(name), p, q, options);
  backward(sum(loss));
  return {loss.values(), grad(q).values()};
}

}  // namespace

std::vector<FieldArrow> gradient_field(const std::string& name, const ThreeTokens& teacher,
                                       int sides) {
  std::vector<double> points;
  for (int i = 1; i < sides; i++)
    for (int j = 1; i + j < sides; j++)
      for (int k : {i, j, sides - i - j}) points.push_back(double(k) / sides);
  Gradients g = gradients(name, {teacher.begin(), teacher.end()}, points);
  std::vector<FieldArrow> field(g.loss.size());
  for (size_t n = 0; n < field.size(); n++) {
    FieldArrow& a = field[n];
    a.loss = g.loss[n];
    double mean = 0;
    for (size_t v = 0; v < 3; v++) {
      a.q[v] = points[3 * n + v], a.gradient[v] = g.of_logits[3 * n + v];
      mean += a.q[v] * a.gradient[v];
    }
    for (size_t v = 0; v < 3; v++) a.flow[v] = a.q[v] * (mean - a.gradient[v]);
  }
  return field;
}

std::vector<double> dropped_gradient(const std::string& name, double p,
                                     const std::vector<double>& q) {
  std::vector<double> students, sizes;
  for (double x : q) students.insert(students.end(), {x, 1 - x});
  Gradients g = gradients(name, {p, 1 - p}, students);
  for (size_t n = 0; n < q.size(); n++) sizes.push_back(std::abs(g.of_logits[2 * n]));
  return sizes;
}

std::vector<double> gradient_norms(const std::string& name, const ThreeTokens& teacher,
                                   const ThreeTokens& student,
                                   const std::vector<double>& temperatures) {
  std::vector<double> norms;
  for (double temperature : temperatures) {
    std::vector<double> g = gradients(name, {teacher.begin(), teacher.end()},
                                      {student.begin(), student.end()}, temperature)
                                .of_logits;
    norms.push_back(std::hypot(g[0], g[1], g[2]));
  }
  return norms;
}

ThreeTokens softened(const ThreeTokens& teacher, double temperature) {
  std::vector<double> p =
      softmax(scale(log(Tensor::from({teacher.begin(), teacher.end()}, {1, 3}, Dtype::f64)),
                    1 / temperature))
          .values();
  return {p[0], p[1], p[2]};
}

}  // namespace retort
