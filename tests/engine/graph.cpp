// Steps run through kernels/graph.h do what they do without it.
#include "kernels/graph.h"

#include <catch2/catch.hpp>

#include "engine/optimizer.h"
#include "tests/devices.h"

using namespace retort;

namespace {

// One update of a layer: ids of this step's batch, dropout and a rate of this step.
void update(Parameters& p, Optimizer& optimizer, int step, Tensor* loss, int rows) {
  std::vector<int> words;
  for (int i = 0; i < rows; i++) words.push_back((i * 3 + step) % 11);
  Device device = p.device();
  Tensor x = embedding(p["table"].value, Tensor::from(words, {rows}, device));
  Tensor h = dropout(tanh(linear(x, p["weight"].value)), 0.3, {7, uint32_t(step), 0, 0});
  *loss = mean(mul(h, h));
  p.zero_grads();
  backward(*loss);
  optimizer.step(0.01 / (step + 1), clip_grad_norm(p, 0.1));
}

}  // namespace

TEST_CASE("a step as a graph gives the bits of the step by itself", "[cuda][small]") {
  for (Device device : devices())
    for (const char* name : {"adamw", "adafactor"}) {
      OptimizerOptions o;
      o.name = name;
      std::vector<std::vector<double>> results;
      for (bool graphed : {false, true}) {
        Parameters p(1, Dtype::f32, device);
        p.add("table", {11, 33}, 1), p.add("weight", {33, 33}, 0.3);
        p.flatten();
        auto optimizer = make_optimizer(o, p);
        Graph graph(device);
        Tensor loss;
        std::vector<double> seen;
        for (int step = 0; step < 8; step++) {
          auto run = [&] { update(p, *optimizer, step, &loss, step < 4 ? 40 : 200); };
          if (step == 2) empty_cache(device);  // new blocks are allocated inside
          graphed ? graph.run(run) : run();
          seen.push_back(loss.item());
        }
        for (double w : p.weights().values()) seen.push_back(w);
        if (graphed) CHECK(graph.builds() <= (device == Device::cpu ? 0 : 4));
        results.push_back(seen);
      }
      CHECK(results[0] == results[1]);
    }
}

TEST_CASE("looking at numbers inside a graph is an error that says so", "[cuda][small]") {
  for (Device device : devices()) {
    if (device == Device::cpu) continue;
    Graph graph(device);
    Tensor x = Tensor::full({3}, 2, Dtype::f32, device), y;
    CHECK_THROWS_WITH(
        graph.run([&] { sum(x).item(); }),
        Catch::Contains("Tensor::values, item or ints") && Catch::Contains("CUDA graph"));
    CHECK_THROWS_WITH(graph.run([&] { device_synchronize(device); }),
                      Catch::Contains("device_synchronize"));
    graph.run([&] { y = scale(x, 3); });  // and the device goes on
    CHECK(y.values() == std::vector<double>(3, 6));
    graph.run([&] { empty_cache(device); });  // nothing to do: an empty graph
    CHECK(y.values() == std::vector<double>(3, 6));
  }
}
