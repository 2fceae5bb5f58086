// The tape, and the memory behind it.
#include <catch2/catch.hpp>

#include "engine/gradcheck.h"
#include "engine/ops.h"
#include "tests/devices.h"

using namespace retort;

TEST_CASE("backward frees nodes as it passes them", "[cuda][small]") {
  for (Device device : devices()) {
    Tensor w = parameter(random_tensor({256, 256}, 1, 1, 0, device));
    grad(w);
    auto used = [&] { return memory_stats(device).used; };
    size_t before = used();
    {
      Tensor y = w;
      for (int i = 0; i < 10; i++) y = tanh(y);
      size_t held = used() - before;
      Tensor loss = sum(y);
      y = {};
      backward(loss);
      CHECK(held > 9 * 256 * 256 * 8);
      CHECK(used() - before < 2 * 256 * 256 * 8);
      CHECK_THROWS_WITH(backward(loss), Catch::Contains("freed"));
    }
    CHECK(used() == before);
  }
}

TEST_CASE("an operator without a backward throws and names itself") {
  Tensor x = parameter(random_tensor({3}, 1));
  Tensor y = record("no_way_back", x.detach(), {x}, nullptr);
  CHECK_THROWS_WITH(backward(sum(y)), Catch::Contains("no_way_back"));
}

TEST_CASE("nothing is recorded under NoGrad") {
  Tensor x = parameter(random_tensor({3}, 1));
  NoGrad quiet;
  CHECK_FALSE(exp(x).node);
}

TEST_CASE("gradients add up, and accumulation equals the large batch", "[cuda][small]") {
  for (Device device : devices()) {
    Tensor w = parameter(random_tensor({7, 5}, 1, 1, 0, device)),
           x = random_tensor({6, 5}, 2, 1, 0, device);
    backward(mean(tanh(linear(x, w))));
    std::vector<double> whole = grad(w).values();
    Tensor v = parameter(w.detach().to(Dtype::f64));
    for (int i = 0; i < 3; i++)
      backward(scale(mean(tanh(linear(slice(x, 0, 2 * i, 2), v))), 1.0 / 3));
    std::vector<double> parts = grad(v).values();
    for (size_t i = 0; i < whole.size(); i++)
      CHECK(parts[i] == Approx(whole[i]).epsilon(1e-12).margin(1e-15));
  }
}

TEST_CASE("memory is counted by what it is held for, and named when there is none left", "[cuda]") {
  using enum MemoryClass;
  for (Device device : devices()) {
    auto held = [&](MemoryClass what) { return memory_stats(device).held[size_t(what)]; };
    size_t plain = held(activations), cached = held(cache), index = held(ids);
    {
      Tensor a({1000}, Dtype::f32, device), b;
      {
        MemoryScope scope(cache);
        b = Tensor({3000000}, Dtype::f32, device);
        Tensor c = Tensor::from(std::vector<int>{1}, {1}, device);
        CHECK(held(ids) > index);
      }
      CHECK(held(activations) - plain >= 4000);
      CHECK(held(cache) - cached >= 12000000);
      // Of the device's whole address space there is none.
      std::string message;
      try {
        cached_allocate(device, size_t(1) << 60);
      } catch (const std::runtime_error& e) {
        message = e.what();
      }
      CHECK_THAT(message, Catch::Matches("out of memory: [0-9]+ MiB asked for, [0-9]+ MiB in use: "
                                         ".*KV cache [0-9]+ MiB.*; use smaller batches .*"));
      CHECK(message.find("KV cache") < message.find("activations"));
    }
    CHECK(held(activations) == plain);
    CHECK(held(cache) == cached);
    CHECK(held(ids) == index);
  }
}

TEST_CASE("before memory runs out, what is kept unused is given back", "[cuda][small]") {
  for (Device device : devices()) {
    bool on = set_memory_cache(device, true);
    { Tensor x({100000}, Dtype::f32, device); }
    CHECK(memory_stats(device).cached > 0);
    CHECK_THROWS_AS(device_allocate(device, size_t(1) << 60), OutOfMemory);
    CHECK(memory_stats(device).cached == 0);
    set_memory_cache(device, on);
  }
}

TEST_CASE("without the memory cache a tensor is an allocation of its size", "[cuda][small]") {
  for (Device device : devices()) {
    Tensor before({1001}, Dtype::f32, device);
    bool on = set_memory_cache(device, false);
    size_t used = memory_stats(device).used;
    Tensor x({1001}, Dtype::f32, device);
    CHECK(memory_stats(device).used == used + 4004);
    before = {};
    CHECK(memory_stats(device).cached == 0);
    set_memory_cache(device, true);
    x = {};  // goes back to the device: a block of the cache would be larger
    CHECK(memory_stats(device).cached == 0);
    Tensor y({1001}, Dtype::f32, device);
    y = {};
    CHECK(memory_stats(device).cached > 4004);
    set_memory_cache(device, on);
  }
}
