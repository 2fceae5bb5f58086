#include "losses/gradcheck_cases.h"

#include <fmt/core.h>

#include <cmath>

#include "losses/coarsen.h"
#include "losses/cross_entropy.h"
#include "losses/divergence.h"
#include "losses/hidden.h"
#include "losses/names.h"
#include "losses/squared_error.h"
#include "losses/transport.h"

namespace retort {

std::vector<GradCase> loss_cases(const std::string& name) {
  std::vector<GradCase> cases;
  if (name == "sinkhorn" || name == "pairwise_cost" || is_transport(name))
    return transport_cases(name);
  if (name == "ce") {
    for (double smoothing : {0.0, 0.1})
      for (int v : {2, 33, 1003})
        cases.push_back(
            {"ce V " + std::to_string(v) + (smoothing ? " smoothed" : ""), [=](Device device) {
               return check_gradients(
                   [=](const std::vector<Tensor>& x) {
                     return cross_entropy(x[0],
                                          Tensor::from(std::vector<int>{0, -1, v - 1}, {3}, device),
                                          smoothing);
                   },
                   {random_tensor({3, v}, 1)}, GradOptions::on(device));
             }});
    return cases;
  }
  if (name == "mse") {
    for (int v : {1, 3, 33})
      cases.push_back(
          {"mse V " + std::to_string(v), [=](Device device) {
             Tensor y = random_tensor({3, v}, 2, 1, 0, device);
             return check_gradients(
                 [=](const std::vector<Tensor>& x) { return squared_error(x[0], y, 2); },
                 {random_tensor({3, v}, 1)}, GradOptions::on(device));
           }});
    return cases;
  }
  if (name == "hidden") {
    for (int width : {7, 5})
      for (bool normalize : {false, true})
        cases.push_back({fmt::format("hidden {} to 7{}", width, normalize ? " normalised" : ""),
                         [=](Device device) {
                           std::vector<Tensor> inputs{random_tensor({2, 3, width}, 1)};
                           if (width != 7) inputs.push_back(random_tensor({7, width}, 3));
                           Tensor teacher = random_tensor({2, 3, 7}, 2).to(device);
                           std::vector<double> weights{0.5, 0.25, 0, 2, 1, 0};
                           Tensor w = Tensor::from(weights, {6}, Dtype::f64, device);
                           return check_gradients(
                               [=](const std::vector<Tensor>& x) {
                                 return hidden_loss(x[0], teacher, {1, 1, 0, 1, 1, 0}, w,
                                                    x.size() > 1 ? x[1] : Tensor(), normalize);
                               },
                               inputs, GradOptions::on(device));
                         }});
    return cases;
  }
  if (name == "coarsen") {
    for (auto [k, v] : {std::pair{1, 2}, {2, 3}, {5, 33}, {32, 33}, {7, 1003}})
      cases.push_back({fmt::format("coarsen V {} to {}", v, k), [k = k, v = v](Device device) {
                         std::vector<int> ids;  // in no order, others for each row
                         for (int i = 0; i < 3 * k; i++) ids.push_back((i / k + 2 * (i % k)) % v);
                         return check_gradients(
                             [=](const std::vector<Tensor>& x) {
                               return coarsen(x[0], Tensor::from(ids, {3, k}, device));
                             },
                             {random_tensor({3, v}, 1, 2)}, GradOptions::on(device));
                       }});
    return cases;
  }
  std::vector<std::string> names = term_losses();
  names.insert(names.end(), {"coarsen", "pairwise_cost", "sinkhorn"});
  check_loss_name(name, names);
  parse_divergence(name);
  for (int v : {1, 3, 33, 1003})
    for (double temperature : {1.0, 2.0}) {
      if (v == 1003 && temperature != 1) continue;
      cases.push_back({name + " V " + std::to_string(v) + " T " + std::to_string(int(temperature)),
                       [=](Device device) {
                         Tensor teacher = random_tensor({3, v}, 2, 1.5);
                         // A token both exclude, and one row that is masked out.
                         if (v > 3)
                           teacher.data<double>()[5] = name[0] == 'r' || name[0] == 'e' ||
                                                               name == "jeffreys" ||
                                                               name.rfind("alpha:-", 0) == 0
                                                           ? -3
                                                           : -INFINITY;
                         teacher = teacher.to(device);
                         DivergenceOptions o;
                         o.temperature = temperature;
                         o.mask = Tensor::from(std::vector<int>{1, 1, 0}, {3}, device);
                         return check_gradients(
                             [=](const std::vector<Tensor>& x) {
                               return divergence(parse_divergence(name), teacher, x[0], o);
                             },
                             {random_tensor({3, v}, 1)}, GradOptions::on(device));
                       }});
    }
  if (name.rfind("skew_", 0) == 0)  // with the mixture of each row
    cases.push_back({name + " mixture", [=](Device device) {
                       Tensor teacher = random_tensor({3, 33}, 2, 1.5).to(device);
                       return check_gradients(
                           [=](const std::vector<Tensor>& x) {
                             DivergenceOptions o;
                             o.mixture = x[1];
                             return divergence(parse_divergence(name), teacher, x[0], o);
                           },
                           {random_tensor({3, 33}, 1), random_tensor({3}, 3, 2)},
                           GradOptions::on(device));
                     }});
  return cases;
}

std::vector<GradCase> loss_cases() {
  std::vector<std::string> names{"ce", "mse", "hidden", "coarsen", "pairwise_cost", "sinkhorn"};
  for (const TransportInfo& t : transport_losses()) names.push_back(t.name);
  for (const DivergenceInfo& d : divergences()) {
    if (d.parameter.empty())
      names.push_back(d.name);
    else if (d.name == "alpha")
      for (const char* a : {"0.3", "0.9", "-0.5", "1.5"})
        names.push_back("alpha:" + std::string(a));
    else
      for (const char* a : {"0.1", "0.5", "0.85"}) names.push_back(d.name + ":" + a);
  }
  std::vector<GradCase> cases;
  for (const std::string& name : names)
    for (GradCase& c : loss_cases(name)) cases.push_back(std::move(c));
  return cases;
}

}  // namespace retort
