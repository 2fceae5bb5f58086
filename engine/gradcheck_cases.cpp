// One or more cases for every operator: odd sizes, views, broadcasting.
#include "engine/gradcheck.h"
#include "engine/ops.h"

namespace retort {
namespace {

using Inputs = std::vector<Tensor>;
using F = std::function<Tensor(const Inputs&)>;

Tensor normal(Shape s, uint64_t seed) { return random_tensor(std::move(s), seed); }
Tensor positive(Shape s, uint64_t seed) {
  Tensor x = random_tensor(std::move(s), seed);
  for (size_t i = 0; i < x.size(); i++) x.data<double>()[i] = 0.5 + std::abs(x.data<double>()[i]);
  return x;
}
Tensor away_from_zero(Shape s, uint64_t seed) {
  Tensor x = random_tensor(std::move(s), seed);
  for (size_t i = 0; i < x.size(); i++) x.data<double>()[i] += x.data<double>()[i] > 0 ? 0.1 : -0.1;
  return x;
}
Tensor ids(std::vector<int> v, Shape s, const Tensor& beside) {
  return Tensor::from(v, std::move(s), beside.device());
}

GradCase make(std::string name, F f, std::function<Inputs()> inputs) {
  return {std::move(name), [f, inputs](Device device) {
            return check_gradients(f, inputs(), GradOptions::on(device));
          }};
}

void add_elementwise(std::vector<GradCase>& c) {
  struct Unary {
    const char* name;
    Tensor (*f)(const Tensor&);
  };
  for (Unary u : {Unary{"exp", exp}, Unary{"tanh", tanh}, Unary{"silu", silu}, Unary{"gelu", gelu},
                  Unary{"gelu_tanh", gelu_tanh}})
    for (Shape s : {Shape{1}, Shape{3, 33}, Shape{1003}})
      c.push_back(make(
          std::string(u.name) + " " + text(s), [u](const Inputs& x) { return u.f(x[0]); },
          [s] { return Inputs{normal(s, 1)}; }));
  c.push_back(make(
      "exp of a transposed view", [](const Inputs& x) { return exp(transpose(x[0])); },
      [] {
        return Inputs{normal({3, 33}, 1)};
      }));
  c.push_back(make(
      "log", [](const Inputs& x) { return log(x[0]); },
      [] {
        return Inputs{positive({3, 33}, 1)};
      }));
  c.push_back(make(
      "relu", [](const Inputs& x) { return relu(x[0]); },
      [] {
        return Inputs{away_from_zero({3, 33}, 1)};
      }));
  c.push_back(make(
      "scale", [](const Inputs& x) { return scale(x[0], -1.7, 0.3); },
      [] { return Inputs{normal({33}, 1)}; }));
  c.push_back(make(
      "masked_fill",
      [](const Inputs& x) {
        return masked_fill(x[0], ids({1, 0, 1}, {3, 1}, x[0]), 2.5);
      },
      [] {
        return Inputs{normal({3, 33}, 1)};
      }));
  c.push_back(make(
      "dropout",
      [](const Inputs& x) {
        return dropout(x[0], 0.3, {7, 1, 2, 3});
      },
      [] {
        return Inputs{normal({3, 33}, 1)};
      }));
  struct Binary {
    const char* name;
    Tensor (*f)(const Tensor&, const Tensor&);
  };
  struct Shapes {
    const char* what;
    Shape a, b;
  };
  for (Binary op : {Binary{"add", add}, Binary{"sub", sub}, Binary{"mul", mul}, Binary{"div", div}})
    for (Shapes s : {Shapes{"equal", {3, 33}, {3, 33}},
                     {"bias", {2, 3, 33}, {33}},
                     {"column", {3, 33}, {3, 1}},
                     {"outer", {3, 1}, {1, 5}},
                     {"scalar", {3, 33}, {1}},
                     {"left", {33}, {3, 33}}})
      c.push_back(make(
          std::string(op.name) + " " + s.what, [op](const Inputs& x) { return op.f(x[0], x[1]); },
          [s] {
            return Inputs{normal(s.a, 1), positive(s.b, 2)};
          }));
  c.push_back(make(
      "mul of a sliced view",
      [](const Inputs& x) { return mul(slice(x[0], 1, 2, 5), transpose(x[1])); },
      [] {
        return Inputs{normal({3, 9}, 1), normal({5, 3}, 2)};
      }));
}

void add_views(std::vector<GradCase>& c) {
  auto one = [&](const char* name, Shape s, std::function<Tensor(const Tensor&)> f) {
    c.push_back(make(
        name, [f](const Inputs& x) { return f(x[0]); }, [s] { return Inputs{normal(s, 1)}; }));
  };
  one("contiguous", {3, 5, 7}, [](const Tensor& x) { return contiguous(transpose(x, 0, 2)); });
  one("reshape", {3, 4, 5}, [](const Tensor& x) { return reshape(transpose(x, 0, 1), {-1, 15}); });
  one("transpose", {3, 4, 5}, [](const Tensor& x) { return exp(transpose(x, 0, 1)); });
  one("slice", {3, 7, 5}, [](const Tensor& x) { return exp(slice(x, 1, 2, 4)); });
  one("expand", {3, 1, 5}, [](const Tensor& x) { return exp(expand(x, {2, 3, 4, 5})); });
  c.push_back(make(
      "concat",
      [](const Inputs& x) {
        return concat({x[0], transpose(x[1]), x[0]}, 1);
      },
      [] {
        return Inputs{normal({3, 4}, 1), normal({5, 3}, 2)};
      }));
  one("sum all", {3, 33}, [](const Tensor& x) { return sum(x); });
  one("sum middle", {3, 5, 7}, [](const Tensor& x) { return sum(x, 1); });
  one("sum last", {3, 1003}, [](const Tensor& x) { return sum(x, -1); });
  one("mean", {3, 33}, [](const Tensor& x) { return mean(x) + mean(x, 1); });
  one("max", {3, 33}, [](const Tensor& x) { return max(x, 1); });
  one("max middle", {3, 5, 7}, [](const Tensor& x) { return max(x, 1); });
  one("sum_to", {2, 3, 33}, [](const Tensor& x) { return sum_to(x, {3, 1}); });
}

void add_rows(std::vector<GradCase>& c) {
  for (int n : {1, 3, 33, 1003}) {
    std::string s = " " + std::to_string(n);
    auto in = [n] { return Inputs{normal({3, n}, 1)}; };
    c.push_back(make(
        "softmax" + s, [](const Inputs& x) { return softmax(x[0]); }, in));
    c.push_back(make(
        "log_softmax" + s, [](const Inputs& x) { return log_softmax(x[0]); }, in));
    c.push_back(make(
        "logsumexp" + s, [](const Inputs& x) { return logsumexp(x[0]); }, in));
    c.push_back(make(
        "gather" + s,
        [n](const Inputs& x) {
          return gather(x[0], ids({0, n - 1, n / 2}, {3}, x[0]));
        },
        in));
    c.push_back(make(
        "columns" + s,
        [n](const Inputs& x) {
          return n == 1 ? columns(x[0], {0}) : columns(x[0], {n - 1, 0});
        },
        in));
  }
  for (int n : {3, 33, 130}) {
    std::string s = " " + std::to_string(n);
    c.push_back(make(
        "layer_norm" + s, [](const Inputs& x) { return layer_norm(x[0], x[1], x[2]); },
        [n] {
          return Inputs{normal({2, 3, n}, 1), normal({n}, 2), normal({n}, 3)};
        }));
    c.push_back(make(
        "rms_norm" + s, [](const Inputs& x) { return rms_norm(x[0], x[1]); },
        [n] {
          return Inputs{normal({2, 3, n}, 1), normal({n}, 2)};
        }));
  }
  c.push_back(make(
      "embedding",
      [](const Inputs& x) {
        return embedding(x[0], ids({4, 0, 4, 2, 1, 4}, {2, 3}, x[0]));
      },
      [] {
        return Inputs{normal({5, 7}, 1)};
      }));
  c.push_back(make(
      "rotary",
      [](const Inputs& x) {
        return rotary(x[0], rotary_angles(ids({0, 3, 9, 1, 2, 5}, {2, 3}, x[0]), 6, x[0].dtype), 1);
      },
      [] {
        return Inputs{normal({2, 3, 2, 6}, 1)};
      }));
}

void add_products(std::vector<GradCase>& c) {
  auto two = [&](const char* name, Shape a, Shape b, Tensor (*f)(const Tensor&, const Tensor&)) {
    c.push_back(make(
        name, [f](const Inputs& x) { return f(x[0], x[1]); },
        [a, b] {
          return Inputs{normal(a, 1), normal(b, 2)};
        }));
  };
  two("matmul", {3, 33}, {33, 5}, matmul);
  two("matmul large", {65, 70}, {70, 67}, matmul);
  two("matmul batched", {2, 3, 5, 7}, {2, 3, 7, 4}, matmul);
  two("matmul shared right side", {2, 5, 7}, {7, 4}, matmul);
  two("matmul transposed", {7, 5}, {4, 7},
      [](const Tensor& a, const Tensor& b) { return matmul(transpose(a), transpose(b)); });
  two("matmul batched transposed", {2, 7, 5}, {2, 4, 7},
      [](const Tensor& a, const Tensor& b) { return matmul(transpose(a), transpose(b)); });
  two("matmul sliced", {5, 9}, {9, 6}, [](const Tensor& a, const Tensor& b) {
    return matmul(slice(a, 1, 1, 7), slice(slice(b, 0, 2, 7), 1, 1, 3));
  });
  c.push_back(make(
      "linear", [](const Inputs& x) { return linear(x[0], x[1], x[2]); },
      [] {
        return Inputs{normal({2, 3, 7}, 1), normal({5, 7}, 2), normal({5}, 3)};
      }));
  c.push_back(make(
      "linear without bias", [](const Inputs& x) { return linear(transpose(x[0], 0, 1), x[1]); },
      [] {
        return Inputs{normal({2, 3, 7}, 1), normal({5, 7}, 2)};
      }));
  for (bool biases : {true, false})
    c.push_back(make(
        biases ? "feed_forward" : "feed_forward without biases",
        [](const Inputs& x) {
          bool b = x.size() > 3;
          return feed_forward(transpose(x[0], 0, 1), x[1], b ? x[3] : Tensor(), x[2],
                              b ? x[4] : Tensor());
        },
        [biases] {
          Inputs x{normal({2, 3, 7}, 1), normal({8, 7}, 2), normal({5, 8}, 3)};
          if (biases) x.push_back(normal({8}, 4)), x.push_back(normal({5}, 5));
          return x;
        }));
}

void add_attention(std::vector<GradCase>& c) {
  struct Case {
    const char* name;
    int B, T, S, H, K, D;
    bool causal, lengths, bias;
    double dropout;
  };
  for (Case a : {Case{"attention", 2, 5, 7, 3, 3, 5, false, false, false, 0},
                 {"attention causal", 2, 6, 6, 2, 2, 4, true, false, false, 0},
                 {"attention causal behind a prefix", 1, 3, 9, 2, 2, 4, true, false, false, 0},
                 {"attention grouped", 2, 5, 5, 4, 2, 3, true, false, false, 0},
                 {"attention with lengths", 3, 5, 6, 2, 1, 4, false, true, false, 0},
                 {"attention with bias", 2, 5, 7, 2, 2, 4, false, true, true, 0},
                 {"attention with dropout", 2, 5, 6, 2, 2, 4, true, false, false, 0.3},
                 {"attention over tiles", 1, 67, 130, 2, 1, 33, true, false, true, 0},
                 {"attention of one query", 2, 1, 9, 2, 2, 8, false, true, true, 0}})
    c.push_back(make(
        a.name,
        [a](const Inputs& x) {
          Attention o;
          o.causal = a.causal, o.dropout = a.dropout, o.key = {5, 1, 2, 0};
          if (a.lengths)
            o.lengths =
                ids(a.B == 3 ? std::vector<int>{6, 0, 4} : std::vector<int>{a.S, 3}, {a.B}, x[0]);
          if (a.bias) o.bias = x[3];
          return attention(x[0], x[1], x[2], o);
        },
        [a] {
          Inputs x{normal({a.B, a.T, a.H, a.D}, 1), normal({a.B, a.S, a.K, a.D}, 2),
                   normal({a.B, a.S, a.K, a.D}, 3)};
          if (a.bias) x.push_back(normal({a.H, a.T + a.S - 1}, 4));
          return x;
        }));
  Attention causal;
  causal.causal = true;
  c.push_back(make(
      "attention of keys and values together",
      [=](const Inputs& x) { return attention(x[0], x[1], causal); },
      [] {
        return Inputs{normal({2, 4, 4, 3}, 1), normal({2, 5, 4, 3}, 2)};
      }));
  c.push_back(make(
      "attention of queries, keys and values together",
      [=](const Inputs& x) {
        Attention o = causal;
        o.bias = x[1];
        return attention(x[0], 2, o);
      },
      [] {
        return Inputs{normal({2, 5, 6, 3}, 1), normal({2, 9}, 2)};
      }));
}

}  // namespace

std::vector<GradCase> operator_cases() {
  std::vector<GradCase> c;
  add_elementwise(c), add_views(c), add_rows(c), add_products(c), add_attention(c);
  return c;
}

}  // namespace retort
