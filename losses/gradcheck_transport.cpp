// Gradient checks of the transport losses, of their solver and of its costs.
#include <fmt/core.h>

#include "losses/gradcheck_cases.h"
#include "losses/pairwise.h"
#include "losses/transport.h"

namespace retort {
namespace {

// On CUDA fewer elements still: each is hundreds of launches.
GradOptions few(Device device) {
  GradOptions o = GradOptions::on(device);
  if (device == Device::cuda) o.elements = 1;
  return o;
}

// A transport loss with parameters on B rows of V classes, one of which is masked out. The step is
// small: |q - p| has a kink wherever two probabilities meet.
GradCase transport_case(const std::string& name, std::vector<std::string> parameters, int B,
                        int V) {
  std::string label = fmt::format("{} B {} V {}", name, B, V);
  for (const std::string& p : parameters) label += " " + p;
  return {label, [=](Device device) {
            Transport t = parse_transport(name, parameters);
            TransportInputs in;
            in.teacher = random_tensor({B, V + (name == "uld" ? 2 : 0)}, 2, 1.5, 0, device);
            std::vector<int> mask(size_t(B), 1);
            if (B > 1) mask[1] = 0;
            in.mask = Tensor::from(mask, {B}, device);
            in.cost = std::make_shared<ClassCosts>(random_tensor({V, V}, 3, 1, 0, device));
            GradOptions o = few(device);
            o.step = 1e-5;
            return check_gradients(
                [=](const std::vector<Tensor>& x) {
                  TransportInputs all = in;
                  all.student = x[0];
                  return transport(t, all).loss;
                },
                {random_tensor({B, V}, 1)}, o);
          }};
}

// Costs of logits, among two sides and one.
std::vector<GradCase> cost_cases() {
  std::vector<GradCase> c;
  for (Ground ground : {Ground::l1, Ground::squared_l2})
    for (bool self : {false, true})
      c.push_back(
          {fmt::format("pairwise_cost {}{}", ground == Ground::l1 ? "L1" : "squared L2",
                       self ? " of one side" : ""),
           [=](Device device) {
             Tensor teacher = random_tensor({4, 33}, 2, 1.5, 0, device);
             GradOptions o = GradOptions::on(device);
             o.step = 1e-5;
             return check_gradients(
                 [=](const std::vector<Tensor>& x) {
                   return pairwise_cost(ground, x[0], self ? Tensor() : teacher, 2, {3, 0, 1});
                 },
                 {random_tensor({4, 33}, 1)}, o);
           }});
  return c;
}

// The solver on costs and weights that are given: two problems, of 3 and 2 points.
std::vector<GradCase> solver_cases() {
  std::vector<GradCase> c;
  auto add = [&](const char* what, SinkhornOptions o) {
    for (TransportValue value : {TransportValue::sharp, TransportValue::regularised}) {
      o.value = value, o.iters = 3, o.eps = 0.3;
      c.push_back(
          {fmt::format("sinkhorn {} {}", what,
                       value == TransportValue::sharp ? "sharp" : "regularised"),
           [=](Device device) {
             return check_gradients(
                 [=](const std::vector<Tensor>& x) {
                   SinkhornOptions here = o;
                   if (o.start.defined()) here.start = o.start.to(device);
                   return sinkhorn(x[0], x[1], x[2], here).value;
                 },
                 {random_tensor({2, 3, 2}, 1), random_tensor({2, 3}, 2), random_tensor({2, 2}, 3)},
                 GradOptions::on(device));
           }});
    }
  };
  SinkhornOptions plain, unbalanced, symmetric, scaled;
  unbalanced.rho = 0.7;
  symmetric.symmetric = true;
  scaled.eps_start = 1, scaled.start = random_tensor({2, 2}, 4);
  add("plain", plain), add("unbalanced", unbalanced), add("symmetric", symmetric);
  add("scaled from a start", scaled);
  return c;
}

}  // namespace

std::vector<GradCase> transport_cases(const std::string& name) {
  if (name == "pairwise_cost") return cost_cases();
  if (name == "sinkhorn") return solver_cases();
  std::vector<GradCase> c;
  auto add = [&](std::vector<std::string> p, int B = 5, int V = 7) {
    c.push_back(transport_case(name, std::move(p), B, V));
  };
  if (parse_transport(name), name == "uld" || name == "sinkhorn_sample:published") {
    for (int v : {2, 33}) add({}, 3, v);
  } else if (name == "sinkhorn_sample") {
    for (const char* cost : {"cost=zero_one", "cost=abs", "cost=matrix"})
      for (const char* value : {"value=sharp", "value=regularised"})
        add({cost, value, "iters=3", "eps=0.5"}, 3, 5);
    add({"cost=matrix", "iters=3", "eps=0.5", "top=2"}, 3, 9);
    for (const char* gradient : {"gradient=implicit", "gradient=envelope"})
      add({"cost=abs", "value=regularised", gradient, "iters=15", "eps=4"}, 2);
    add({"cost=abs", "gradient=implicit", "iters=15", "eps=4"}, 2);
    add({"cost=abs", "eps=0.5", "eps_start=3", "iters=2"}, 2, 5);
  } else {
    // Unrolled: right after any number of iterations. scale=1: the gradient shall not be small.
    bool published = name == "sinkhorn:published", debiased = name == "sinkhorn_debiased";
    std::vector<std::string> kinds{"value=sharp", "value=regularised"};
    if (published) kinds = {"scale=1"};
    if (debiased) kinds = {"value=regularised"};
    for (const char* iters : {"iters=1", "iters=2", "iters=5"})
      for (const std::string& kind : kinds) add({iters, kind});
    add({published ? "scale=1" : "iters=3"}, 1, 3);
    if (published) return c;
    add({"ground=squared_l2", "iters=3"});
    add({"eps_start=1", "iters=2"});
    // The others: where the marginals are right.
    for (const char* gradient : {"gradient=envelope", "gradient=implicit"})
      add({"value=regularised", gradient, "eps=1", "tol=1e-10"});
    if (!debiased) add({"gradient=implicit", "eps=1", "tol=1e-10"});
  }
  return c;
}

}  // namespace retort
