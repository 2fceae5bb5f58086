// The list behind `retort invariants`: every loss passes it, and what it shall find it finds.
#include "losses/invariants.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "losses/divergence.h"
#include "losses/transport.h"

using namespace retort;

TEST_CASE("every loss keeps what the mathematics promises of it", "[invariants]") {
  std::set<std::string> seen;
  for (const Invariant& i : invariants()) {
    seen.insert(i.loss.substr(0, i.loss.find(':'))), seen.insert(i.loss);
    for (Dtype dtype : {Dtype::f64, Dtype::f32}) {
      INFO(i.loss << ": " << i.property << ", " << name_of(dtype));
      CHECK(i.error(dtype) <= i.tolerance(dtype));
    }
  }
  for (const DivergenceInfo& d : divergences()) CHECK(seen.count(d.name));
  for (const TransportInfo& t : transport_losses()) CHECK(seen.count(t.name));
}

TEST_CASE("losses that are wrong fail the check that is theirs", "[invariants]") {
  auto kl = [](const Tensor& t, const Tensor& s, const Tensor& mask, double T) {
    DivergenceOptions o;
    o.mask = mask, o.temperature = T;
    return divergence({"kl"}, t, s, o);
  };
  auto fails = [&](auto loss, const std::set<std::string>& expected) {
    std::set<std::string> failed;
    CheckedLoss wrong{"wrong", loss};
    wrong.classes = {1, 3, 33};
    for (const Invariant& i : invariants_of(wrong)) try {
        if (!(i.error(Dtype::f64) <= i.tolerance(Dtype::f64))) failed.insert(i.property);
      } catch (const std::exception&) {  // masked rows hold NaN
        failed.insert(i.property);
      }
    CHECK(failed == expected);
  };
  using T = const Tensor&;
  fails(kl, {});
  // T^2 applied; a sign; an offset; the gradient of an unnormalised q; tokens of unequal weight;
  // rows that know of each other; masks ignored.
  fails(
      [=](T t, T s, T mask, double temperature) {
        return scale(kl(t, s, mask, temperature), temperature * temperature);
      },
      {"temperature divides logits"});
  fails(
      [=](T t, T s, T mask, double temperature) { return scale(kl(t, s, mask, temperature), -1); },
      {"not negative"});
  fails([=](T t, T s, T mask,
            double temperature) { return scale(kl(t, s, mask, temperature), 1, 0.1); },
        {"0, and its gradient, at p = q", "masked rows leave nothing"});
  fails([=](T t, T s, T, double temperature) { return kl(t, s, {}, temperature); },
        {"masked rows leave nothing"});
  fails(
      [=](T t, T s, T mask, double temperature) {
        Tensor d = sub(slice(s, 1, 0, 1), slice(t, 1, 0, 1));
        return kl(t, s, mask, temperature) + reshape(mul(d, d), {t.dim(0)});
      },
      {"rows of the gradient sum to 0", "adding to logits changes nothing",
       "temperature divides logits", "order of the tokens", "masked rows leave nothing"});
  fails(
      [=](T t, T s, T mask, double temperature) {
        Tensor loss = kl(t, s, mask, temperature);
        return mul(loss, exp(mean(loss)));
      },
      {"order of the rows", "masked rows leave nothing", "accumulation is the large batch"});
}
