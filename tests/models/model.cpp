// Each architecture learns one batch by heart; decoding with a cache equals the full forward pass;
// samples have the model's probabilities and do not depend on the batch.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <map>

#include "engine/optimizer.h"
#include "losses/cross_entropy.h"
#include "models/decode.h"
#include "models/gradcheck_cases.h"
#include "tests/devices.h"

using namespace retort;

namespace {

ModelConfig small(const std::string& preset, int vocab = 23) {
  ModelConfig c = ModelConfig::preset(preset);
  c.vocab = vocab, c.width = 32, c.heads = 4, c.layers = 2, c.max_positions = 32, c.init_std = 0.1;
  c.dropout = c.attention_dropout = 0;
  if (preset == "llama") c.kv_heads = 2;
  if (preset == "bert") c.classes = 3;
  return c;
}
Tensor ids(const std::vector<int>& v, Shape s, Device device = Device::cpu) {
  return Tensor::from(v, std::move(s), device);
}
const char* on(Device device) { return device == Device::cuda ? " on cuda" : " on cpu"; }
std::vector<int> random_ids(int n, int vocab, uint64_t seed) {
  std::vector<int> v;
  for (int i = 0; i < n; i++)
    v.push_back(4 + int(uniform({seed}, 0, uint32_t(i)) * float(vocab - 4)));
  return v;
}
Inputs batch_of(const ModelConfig& c, int B, int S, int T, Device device, uint64_t seed = 5) {
  Inputs in;
  if (c.architecture != "decoder") {
    in.source = ids(random_ids(B * S, c.vocab, seed), {B, S}, device);
    std::vector<int> lengths;
    for (int b = 0; b < B; b++) lengths.push_back(S - b % 3);
    in.source_lengths = ids(lengths, {B}, device);
  }
  if (c.architecture != "encoder")
    in.target = ids(random_ids(B * T, c.vocab, seed + 1), {B, T}, device);
  return in;
}

}  // namespace

TEST_CASE("models pass the gradient check in all their parameters", "[gradcheck][cuda]") {
  for (Device device : devices())
    for (const GradCase& c : layer_cases()) {
      GradResult r = c.run(device);
      INFO(c.name << (device == Device::cuda ? " on cuda: " : ": ") << r.where);
      CHECK(r.error < kGradLimit);
    }
}

// Hundreds of steps: on the CPU. tests/distill/devices.cpp compares training on every device.
TEST_CASE("one batch is learnt to a loss below 0.01") {
  for (Device device : {Device::cpu})
    for (const char* preset : {"gpt2", "llama", "bert", "bart", "t5", "t5-v1.1"}) {
      ModelConfig c = small(preset);
      Model model(c, 1, Dtype::f32, device);
      Inputs in = batch_of(c, 4, 7, 6, device);
      Tensor labels = c.architecture == "encoder" ? ids({0, 2, 1, 2}, {4}, device)
                                                  : ids(random_ids(24, c.vocab, 9), {24}, device);
      auto adam = make_optimizer({}, model.parameters());
      double loss = 0;
      for (int step = 0; step < 1000; step++) {
        model.parameters().zero_grads();
        Pass pass;
        pass.training = true;
        Tensor logits = model.forward(in, pass).logits;
        Tensor l = mean(cross_entropy(reshape(logits, {-1, logits.cols()}), labels));
        loss = l.item();
        if (loss < 0.01) break;
        backward(l);
        clip_grad_norm(model.parameters(), 1);
        adam->step(3e-3);
      }
      INFO(preset << on(device));
      CHECK(loss < 0.01);
    }
}

TEST_CASE("decoding with a cache equals the full forward pass, ragged prompts included", "[cuda]") {
  for (Device device : devices())
    for (const char* preset : {"gpt2", "llama", "bart", "t5"}) {
      ModelConfig c = small(preset);
      INFO(preset << on(device));
      Model model(c, 2, Dtype::f32, device);
      NoGrad quiet;
      Inputs in = batch_of(c, 3, 7, 6, device);
      std::vector<int> tokens = in.target.ints();
      Pass pass;
      std::vector<double> full = model.forward(in, pass).logits.values();
      bool ragged = c.positions != "relative" && c.architecture == "decoder";
      std::vector<int> prompt = ragged ? std::vector<int>{3, 1, 2} : std::vector<int>{1, 1, 1};
      Inputs start = in;
      start.target = slice(in.target, 1, 0, ragged ? 3 : 1),
      start.target_lengths = ids(prompt, {3}, device);
      Tensor logits;
      auto cache = model.start(start, 8, &logits);
      for (int step = 0; step < 4; step++) {
        std::vector<double> x = logits.values();
        std::vector<int> next;
        for (int b = 0; b < 3; b++) {
          int at = prompt[size_t(b)] - 1 + step;
          for (int v = 0; v < c.vocab && at < 6; v++)
            REQUIRE(x[size_t(b * c.vocab + v)] ==
                    Approx(full[size_t((b * 6 + at) * c.vocab + v)]).margin(2e-5));
          next.push_back(tokens[size_t(b * 6 + std::min(5, at + 1))]);
        }
        if (step == 1) {  // reorder: rows 2, 0
          model.select(*cache, {2, 0, 1});
          model.select(*cache, {1, 2, 0});
        }
        logits = model.next(*cache, next);
      }
    }
}

TEST_CASE("a row's logits do not depend on its neighbours, nor on how long they are", "[cuda]") {
  for (Device device : devices())
    for (const char* preset : {"gpt2", "bart", "t5"}) {
      ModelConfig c = small(preset);
      c.max_positions = 128;
      Model model(c, 2, Dtype::f32, device);
      bool prompt = c.architecture == "decoder";
      auto logits = [&](int longest) {  // of 5 tokens, alone or beside `longest` others
        std::vector<int> own = random_ids(5, c.vocab, 9), all = own;
        all.resize(size_t(longest), c.pad);
        std::vector<int> lengths{5};
        if (longest > 5) {
          for (int id : random_ids(longest, c.vocab, 10)) all.push_back(id);
          lengths.push_back(longest);
        }
        int B = int(lengths.size());
        Tensor text = ids(all, {B, longest}, device), n = ids(lengths, {B}, device);
        Inputs in;
        (prompt ? in.target : in.source) = text;
        (prompt ? in.target_lengths : in.source_lengths) = n;
        if (!prompt) in.target = ids(std::vector<int>(size_t(B), c.bos), {B, 1}, device);
        Tensor y;
        auto cache = model.start(in, longest + 4, &y);
        std::vector<double> rows = y.values();
        y = model.next(*cache, std::vector<int>(size_t(B), 7));
        std::vector<double> more = y.values();
        rows.resize(size_t(c.vocab)), more.resize(size_t(c.vocab));
        rows.insert(rows.end(), more.begin(), more.end());
        return rows;
      };
      INFO(preset << on(device));
      std::vector<double> alone = logits(5);
      for (int longest : {7, 12, 70}) CHECK(logits(longest) == alone);
    }
}

TEST_CASE("with bfloat16 weights, logits and the gradients of gains and biases are float32",
          "[cuda]") {
  for (Device device : devices())
    for (const char* preset : {"gpt2", "bert", "t5"}) {
      ModelConfig c = small(preset);
      Model model(c, 2, Dtype::bf16, device);
      Pass pass;
      Tensor y = model.forward(batch_of(c, 3, 7, 6, device), pass).logits;
      INFO(preset << on(device));
      CHECK(y.dtype == Dtype::f32);
      CHECK(y.values() != y.to(Dtype::bf16).values());
      backward(sum(mul(y, y)));
      for (const Parameter& p : model.parameters().list()) {
        if (p.name.find("relative") != std::string::npos) continue;  // by way of bfloat16 views
        Tensor g = grad(p.value);
        INFO(p.name);
        CHECK(g.values() != g.to(Dtype::bf16).values());
      }
    }
}

TEST_CASE("samples are the same whatever the batch size, and on every device", "[cuda]") {
  std::vector<std::vector<int>> first_device;
  for (Device device : devices()) {
    ModelConfig c = small("bart", 101);
    Model model(c, 3, Dtype::f32, device);
    int B = 32;
    Inputs all = batch_of(c, B, 9, 1, device);
    all.target = ids(std::vector<int>(size_t(B), c.bos), {B, 1}, device);
    DecodeOptions o;
    o.method = "sample", o.max_length = 12, o.key = {7, 1, 2, 0};
    std::vector<std::vector<int>> whole = decode(model, all, o);
    if (first_device.empty()) first_device = whole;
    CHECK(whole == first_device);
    for (int size : {1, 3, 7}) {
      for (int first = 0; first + size <= B; first += 5) {
        Inputs part;
        part.source = contiguous(slice(all.source, 0, first, size));
        part.source_lengths = contiguous(slice(all.source_lengths, 0, first, size));
        part.target = contiguous(slice(all.target, 0, first, size));
        o.key.sequence = uint32_t(first);
        auto some = decode(model, part, o);
        for (int b = 0; b < size; b++) CHECK(some[size_t(b)] == whole[size_t(first + b)]);
      }
    }
  }
}

TEST_CASE("samples have the model's probabilities, cut by top-k and top-p", "[cuda]") {
  for (Device device : devices()) {
    ModelConfig c = small("gpt2", 7);
    Model model(c, 4, Dtype::f32, device);
    int B = device == Device::cuda ? 1000 : 4000;
    Inputs in;
    in.target = ids(std::vector<int>(size_t(B), c.bos), {B, 1}, device);
    Tensor logits;
    Inputs one;
    one.target = ids({c.bos}, {1, 1}, device);
    model.start(one, 4, &logits);
    std::vector<double> p = softmax(logits.to(Dtype::f64)).values();
    std::vector<double> sorted = p;
    std::sort(sorted.rbegin(), sorted.rend());
    for (auto [top_k, top_p] : {std::pair<int, double>{0, 1}, {3, 1}, {0, 0.5}}) {
      DecodeOptions o;
      o.method = "sample", o.max_length = 1, o.top_k = top_k, o.top_p = top_p,
      o.key = {11, 0, 0, 0};
      std::map<int, double> count;
      for (auto& y : decode(model, in, o)) count[y.empty() ? c.eos : y[0]]++;
      double kept = 0, mass = 0;
      size_t n = 0;
      while (n < p.size() && (top_k == 0 || int(n) < top_k) && mass < top_p) mass += sorted[n++];
      double chi = 0;
      for (size_t v = 0; v < p.size(); v++) {
        if (p[v] < sorted[n - 1]) {
          CHECK(count[int(v)] == 0);
          continue;
        }
        kept++;
        double expected = B * p[v] / mass;
        chi += (count[int(v)] - expected) * (count[int(v)] - expected) / expected;
      }
      CHECK(kept == n);
      CHECK(chi < 25);  // at most 6 degrees of freedom: p < 0.001 beyond 22.5
    }
  }
}

TEST_CASE("beam search finds the best sequence of an enumerated model; one beam is greedy",
          "[cuda]") {
  for (Device device : devices()) {
    ModelConfig c = small("gpt2", 5);
    c.init_std = 0.5;
    Model model(c, 6, Dtype::f32, device);
    NoGrad quiet;
    // All sequences of at most 3 tokens, the end token included, by their log-probability.
    double best = -1e9;
    std::vector<int> winner;
    std::function<void(std::vector<int>, double)> visit = [&](std::vector<int> y, double score) {
      std::vector<int> prompt{c.bos};
      prompt.insert(prompt.end(), y.begin(), y.end());
      Inputs in;
      in.target = ids(prompt, {1, int(prompt.size())}, device);
      Pass pass;
      Tensor all = model.forward(in, pass).logits;
      std::vector<double> l =
          log_softmax(slice(all, 1, int(prompt.size()) - 1, 1).to(Dtype::f64)).values();
      for (int v = 0; v < c.vocab; v++) {
        std::vector<int> z = y;
        if (v != c.eos) z.push_back(v);
        if (v == c.eos || z.size() == 3) {
          if (score + l[size_t(v)] > best) best = score + l[size_t(v)], winner = z;
        } else {
          visit(z, score + l[size_t(v)]);
        }
      }
    };
    visit({}, 0);
    Inputs in;
    in.target = ids({c.bos}, {1, 1}, device);
    DecodeOptions o;
    o.method = "beam", o.beams = 25, o.length_penalty = 0, o.max_length = 3;
    CHECK(decode(model, in, o)[0] == winner);
    o.beams = 1, o.max_length = 10;
    auto beam = decode(model, in, o);
    o.method = "greedy";
    CHECK(decode(model, in, o) == beam);
    o.min_length = 8;
    CHECK(decode(model, in, o)[0].size() >= 7);  // and the end token
  }
}

TEST_CASE("beam sampling: one beam draws from the model, all beams are beam search", "[cuda]") {
  for (Device device : devices()) {
    ModelConfig c = small("gpt2", 5);
    c.init_std = 0.5;
    Model model(c, 6, Dtype::f32, device);
    NoGrad quiet;
    const int B = device == Device::cpu ? 3000 : 60;
    Inputs in;
    in.target = ids(std::vector<int>(size_t(B), c.bos), {B, 1}, device);
    DecodeOptions o;
    o.method = "beam_sample", o.beams = 1, o.top_k = 3, o.max_length = 1, o.key.seed = 5;
    auto drawn = decode(model, in, o);
    Pass pass;
    Inputs one;
    one.target = ids({c.bos}, {1, 1}, device);
    std::vector<double> p = softmax(model.forward(one, pass).logits.to(Dtype::f64)).values();
    std::vector<double> sorted = p, counts(p.size());
    std::sort(sorted.rbegin(), sorted.rend());
    double mass = sorted[0] + sorted[1] + sorted[2];
    for (const std::vector<int>& y : drawn) counts[size_t(y.empty() ? c.eos : y[0])]++;
    for (size_t v = 0; v < p.size(); v++) {
      double share = p[v] >= sorted[2] ? p[v] / mass : 0;
      CHECK(std::abs(counts[v] / B - share) <= 4 * std::sqrt(share * (1 - share) / B));
    }
    // A row's draws do not depend on the batch it is in.
    o.beams = 3, o.max_length = 4;
    drawn = decode(model, in, o);
    one.target = ids({c.bos, c.bos}, {2, 1}, device);
    o.sequences = {41, 7};
    CHECK(decode(model, one, o) == std::vector<std::vector<int>>{drawn[41], drawn[7]});
    // With a beam for every sequence nothing is left to chance.
    o.beams = 125, o.top_k = c.vocab, o.max_length = 3, o.length_penalty = 0;
    auto all = decode(model, one, o);
    o.method = "beam";
    CHECK(all == decode(model, one, o));
    o.method = "beam_sample", o.top_k = 0;
    CHECK_THROWS_WITH(decode(model, one, o), Catch::Contains("draws of the top_k tokens"));
  }
}

TEST_CASE("a student takes chosen layers of its teacher", "[cuda][small]") {
  for (Device device : devices()) {
    ModelConfig t = small("bart"), s = t;
    t.encoder_layers = 3, t.layers = 3, s.encoder_layers = 2, s.layers = 1;
    Model teacher(t, 1, Dtype::f32, device), student(s, 2, Dtype::f32, device);
    std::string log = copy_layers(teacher, student, "0,2/1");
    CHECK(log.find("student decoder layer 0 <- teacher decoder layer 1") != std::string::npos);
    CHECK(student.parameters()["encoder.layers.1.ffn.in.weight"].value.values() ==
          teacher.parameters()["encoder.layers.2.ffn.in.weight"].value.values());
    CHECK(student.parameters()["tokens"].value.values() ==
          teacher.parameters()["tokens"].value.values());
    CHECK_THROWS_WITH(copy_layers(teacher, student, "0,3/1"), Catch::Contains("layers 0 to 2"));
    CHECK_THROWS_WITH(copy_layers(teacher, student, "0/1"),
                      Catch::Contains("2 layers, 1 are listed"));
    s.width = 16;
    Model narrow(s, 2);
    CHECK_THROWS_WITH(copy_layers(teacher, narrow, "0,2/1"), Catch::Contains("equal widths"));
  }
}

TEST_CASE("a bfloat16 model gives float32 logits near the float32 model's, cache included",
          "[cuda]") {
  for (Device device : devices())
    for (const char* preset : {"gpt2", "llama", "bert", "bart", "t5"}) {
      INFO(preset << on(device));
      ModelConfig c = small(preset);
      Model exact(c, 2, Dtype::f32, device), model(c, 2, Dtype::bf16, device);
      NoGrad quiet;
      Inputs in = batch_of(c, 3, 7, 6, device);
      Pass pass;
      Tensor y = model.forward(in, pass).logits;
      CHECK(y.dtype == Dtype::f32);
      std::vector<double> a = y.values(), b = exact.forward(in, pass).logits.values();
      double error = 0, size = 0;
      for (size_t i = 0; i < a.size(); i++)
        error += (a[i] - b[i]) * (a[i] - b[i]), size += b[i] * b[i];
      CHECK(error < 1e-3 * size);  // 3 % of the norm: bf16 has 8 bits
      if (c.architecture == "encoder") continue;
      Inputs start = in;
      start.target = contiguous(slice(in.target, 1, 0, 5));
      Tensor logits;
      auto cache = model.start(start, 8, &logits);
      std::vector<int> tokens = in.target.ints();
      std::vector<double> x = model.next(*cache, {tokens[5], tokens[11], tokens[17]}).values();
      for (int row = 0; row < 3; row++)
        for (int v = 0; v < c.vocab; v++)
          CHECK(x[size_t(row * c.vocab + v)] ==
                Approx(a[size_t((row * 6 + 5) * c.vocab + v)]).margin(0.05));
    }
}

TEST_CASE("models name what does not fit") {
  ModelConfig c = small("gpt2");
  Model model(c, 1);
  Pass pass;
  Inputs in;
  in.target = ids(random_ids(40, c.vocab, 1), {1, 40});
  CHECK_THROWS_WITH(model.forward(in, pass),
                    Catch::Contains("position 32 is beyond max_positions 32"));
  in.target = ids({99}, {1, 1});
  CHECK_THROWS_WITH(model.forward(in, pass), Catch::Contains("id 99"));
  c.heads = 5;
  CHECK_THROWS_WITH(Model(c, 1), Catch::Contains("no multiple of heads"));
}
