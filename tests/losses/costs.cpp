// Costs of transport losses: the ground between rows and eps scaling by name; distances of tokens,
// as a matrix and from their embeddings.
#include "tests/losses/transport.h"

#include <algorithm>

#include "engine/memory.h"

using namespace retort;

TEST_CASE("ground and eps_start by name: what the solver makes of these costs and steps") {
  Tensor t = random_tensor({6, 5}, 2, 2), s = random_tensor({6, 5}, 1, 2);
  Numbers q = softmax(scale(s, 0.5)).values(), p = softmax(scale(t, 0.5)).values(), costs;
  for (size_t i = 0; i < 6; i++)
    for (size_t j = 0; j < 6; j++) {
      double c = 0;
      for (size_t v = 0; v < 5; v++) c += std::pow(q[i * 5 + v] - p[j * 5 + v], 2);
      costs.push_back(c);
    }
  Tensor w = Tensor::full({1, 6}, -std::log(6.0), Dtype::f64);
  for (const char* name : {"sinkhorn:unit", "sinkhorn_unbalanced"}) {
    SinkhornOptions o;
    o.eps = 0.02, o.iters = 3;
    if (std::string(name) == "sinkhorn_unbalanced") o.rho = 1;
    Parameters plain{"ground=squared_l2", "eps=0.02", "iters=3"}, scaled = plain;
    scaled.push_back("eps_start=0.4");
    Tensor c = Tensor::from(costs, {6, 6}, Dtype::f64);
    INFO(name);
    CHECK(compute(name, plain, t, s).loss[0] ==
          Approx(sinkhorn(c, w, w, o).value.item()).epsilon(1e-10));
    o.eps_start = 0.4;
    CHECK(compute(name, scaled, t, s).loss[0] ==
          Approx(sinkhorn(c, w, w, o).value.item()).epsilon(1e-10));
    CHECK(report(compute(name, scaled, t, s).all.solved[0]).row_error !=
          report(compute(name, plain, t, s).all.solved[0]).row_error);
  }
  // Of what 20 iterations leave at a small eps, scaling takes the most part away.
  Tensor many_t = random_tensor({24, 9}, 4, 3), many_s = random_tensor({24, 9}, 5, 3);
  auto off = [&](const Parameters& more) {
    Parameters all{"eps=0.01"};
    all.insert(all.end(), more.begin(), more.end());
    return report(compute("sinkhorn:unit", all, many_t, many_s).all.solved[0]).row_error;
  };
  CHECK(off({"eps_start=2"}) < 0.7 * off({}));
  // Debiased: scaled or squared, equal sides are one computation.
  for (const char* parameter : {"ground=squared_l2", "eps_start=2"}) {
    CHECK(std::abs(compute("sinkhorn_debiased", {parameter}, t, t).loss[0]) < 1e-14);
    CHECK(compute("sinkhorn_debiased", {parameter}, t, s).loss[0] > 0.001);
  }
  // Over classes: the same result at convergence, nearer to it before.
  Parameters fixed{"cost=abs", "eps=0.05", "iters=3000"}, few{"cost=abs", "eps=0.05", "iters=5"};
  Numbers goal = compute("sinkhorn_sample", fixed, t, s).loss,
          cold = compute("sinkhorn_sample", few, t, s).loss;
  few.push_back("eps_start=4");
  CHECK(distance(compute("sinkhorn_sample", few, t, s).loss, goal) < 0.5 * distance(cold, goal));
}

TEST_CASE("distances of tokens from their embeddings are those of their matrix") {
  const int N = 3, V = 29;
  Tensor t = random_tensor({N, V}, 2, 2), s = random_tensor({N, V}, 1, 2),
         e = random_tensor({V, 7}, 3);
  ClassCosts near = ClassCosts::of_embeddings(e);
  auto by_embeddings = std::make_shared<ClassCosts>(near),
       by_matrix = std::make_shared<ClassCosts>(near.matrix(Dtype::f64, Device::cpu));
  Numbers c = near.matrix(Dtype::f64, Device::cpu).values(), x = e.values();
  CHECK(*std::max_element(c.begin(), c.end()) == 1);
  double scale = 0, expected = 0;
  for (int i = 0; i < V; i++)
    for (int j = 0; j < V; j++) {
      double square = 0;
      for (size_t d = 0; d < 7; d++)
        square += std::pow(x[size_t(i) * 7 + d] - x[size_t(j) * 7 + d], 2);
      scale = std::max(scale, std::sqrt(square));
      CHECK(std::abs(near(i, j) - c[size_t(i * V + j)]) < 1e-12);
      CHECK(near(i, j) == near(j, i));
      if (i == 3 && j == 5) expected = std::sqrt(square);
    }
  CHECK(near(3, 5) * scale == Approx(expected).epsilon(1e-14));
  for (int top : {1, 4, 14, 40}) {
    Transport loss = parse_transport("sinkhorn_sample", {"cost=matrix", "iters=9"});
    loss.top = top;
    std::vector<Numbers> values, slopes;
    for (const auto& cost : {by_embeddings, by_matrix}) {
      TransportInputs in;
      in.teacher = t, in.student = parameter(s), in.cost = cost;
      Tensor rows = transport(loss, in).loss;
      backward(sum(rows));
      values.push_back(rows.values()), slopes.push_back(grad(in.student).values());
    }
    INFO(top);
    CHECK(distance(values[0], values[1]) < 1e-12);
    CHECK(distance(slopes[0], slopes[1]) < 1e-12);
  }
}

TEST_CASE("50,000 tokens of 64 numbers: their distances need the embeddings' memory") {
  const int V = 50000, D = 64;
  Tensor e = random_tensor({V, D}, 3).to(Dtype::f32), t = random_tensor({2, V}, 1, 4),
         s = random_tensor({2, V}, 2, 4);
  empty_cache(Device::cpu);
  reset_peak_memory(Device::cpu);
  double before = double(memory_stats(Device::cpu).peak);
  TransportInputs in;
  in.cost = std::make_shared<ClassCosts>(ClassCosts::of_embeddings(e));
  in.teacher = t, in.student = parameter(s);
  Transport loss = parse_transport("sinkhorn_sample", {"cost=matrix", "top=8"});
  Tensor rows = transport(loss, in).loss;
  backward(sum(rows));
  double peak = double(memory_stats(Device::cpu).peak) - before;
  CHECK(peak < 8.0 * 8 * V * D);  // a matrix has 20 GB
  for (double x : rows.values()) CHECK((x > 0 && x < 1));
  // The bucket of a token: what is left of its distances to all.
  std::vector<int> ids{7, 123, 49999};
  Numbers c = in.cost->among(ids, 3);
  for (size_t i = 0; i < 3; i++) {
    double total = 0;
    for (int j = 0; j < V; j++)
      if (std::count(ids.begin(), ids.end(), j) == 0) total += (*in.cost)(ids[i], j);
    CHECK(c[i * 4 + 3] == Approx(total / (V - 3)).epsilon(1e-12));
    CHECK(c[12 + i] == c[i * 4 + 3]);
  }
}
