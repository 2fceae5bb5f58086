// Signals that ask a run to stop.
#include "distill/progress.h"

#include <sys/time.h>

#include <catch2/catch.hpp>

#include "engine/gradcheck.h"
#include "engine/ops.h"

using namespace retort;

TEST_CASE("a signal leaves the product that it arrives in alone") {
  Tensor a = random_tensor({120, 96}, 1).to(Dtype::f32),
         b = random_tensor({96, 32}, 2).to(Dtype::f32);
  std::vector<double> expected = matmul(a, b).values();
  static volatile std::sig_atomic_t arrived = 0;
  struct sigaction before = handle(SIGALRM, [](int) { arrived = arrived + 1; });
  itimerval often{{0, 200}, {0, 200}}, never{};
  setitimer(ITIMER_REAL, &often, nullptr);
  int wrong = 0;
  for (int i = 0; i < 100000 && arrived < 2000; i++) wrong += matmul(a, b).values() != expected;
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  CHECK(arrived > 100);
  CHECK(wrong == 0);
}
