// The profile of operators: calls, operations by hand, one event behind the other.
#include "engine/profile.h"

#include <catch2/catch.hpp>

#include "engine/gradcheck.h"
#include "engine/ops.h"

using namespace retort;

TEST_CASE("a profile counts operators, forward and backward") {
  Tensor x = random_tensor({8, 16}, 1), w = parameter(random_tensor({4, 16}, 2));
  Profile::start();
  for (int i = 0; i < 3; i++) backward(sum(linear(x, w)));
  Profile::Result p = Profile::finish();
  CHECK(!Profile::on());
  const Profile::Total& linear = p.totals.at("linear");
  CHECK(linear.calls == 3);
  CHECK(linear.operations == 3 * 2 * 8 * 16 * 4);
  CHECK(linear.bytes == 3 * (8 * 16 + 4 * 16 + 8 * 4) * size_of(x.dtype));
  CHECK(p.totals.at("linear backward").calls == 3);
  CHECK(p.totals.at("sum backward").calls == 3);
  CHECK(p.product_rate > 0);
  CHECK(p.sum_rate > 0);
  double end = 0, seconds = 0;
  long events = 0;
  for (const Profile::Event& e : p.events) {
    CHECK(e.begin == Approx(end).margin(1e-12));
    end = e.begin + e.seconds;
  }
  CHECK(end == Approx(p.seconds));
  for (const auto& [name, total] : p.totals) seconds += total.seconds, events += total.calls;
  CHECK(seconds == Approx(p.seconds));
  CHECK(events == long(p.events.size()));
  CHECK(p.more == 0);
}

TEST_CASE("what an operator's backward calls counts to it") {
  Tensor qkv = parameter(random_tensor({1, 4, 6, 8}, 1));
  Profile::start();
  backward(sum(reshape(attention(qkv, 2), {-1})));
  Profile::Result p = Profile::finish();
  CHECK(p.totals.at("attention backward").calls == 1);
  CHECK(!p.totals.contains("concat"));
}

TEST_CASE("a profile of nothing has nothing to tell") {
  Profile::start();
  Profile::Result p = Profile::finish();
  CHECK(p.events.empty());
  CHECK(p.totals.empty());
}
