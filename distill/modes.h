// A bimodal teacher and a student too small for it, as in f-DISTILL's figure 1 made exact:
// sequences of L letters A and B,
//   P = w1 [A^L] + w2 [B^L] + (1 - w1 - w2) uniform,    Q(y) = prod_t sigmoid(+-theta_t),
// where Q's letters are independent, so that it can hold one mode or spread over both. Adam on the
// exact gradient of D(P, Q), over all 2^L sequences, from several starts: does D average or
// collapse?
#pragma once
#include <array>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace retort {

struct ModesOptions {
  std::array<double, 2> weights{0.55, 0.40};  ///< w1 >= w2 > 0, together below 1
  int length = 6;                             ///< L, 1 to 16
  long steps = 3000;                          ///< updates of Adam (0.9, 0.999, eps 1e-10)
  double rate = 0.05;                         ///< its learning rate
};

/// Where one start ended; risks in nats per sequence.
struct ModesEnd {
  std::array<double, 2> mass{};  ///< Q(A^L), Q(B^L)
  double coverage_risk = 0;      ///< -E_P log Q, large where Q misses a mode
  double likelihood_risk = 0;    ///< -E_Q log P, large where Q has mass off the modes
  std::vector<double> letters;   ///< (L + 1): Q's mass on the sequences with 0 to L letters B
  double off_mode() const { return 1 - mass[0] - mass[1]; }
  /// 0 or 1: the mode with more than half of the mass; 2: neither.
  int outcome() const { return mass[0] > 0.5 ? 0 : mass[1] > 0.5 ? 1 : 2; }
};

/// theta, f64 (N, L): standard deviation 1/2, start n the same however many there are.
Tensor modes_starts(int count, int length, uint64_t seed);

/// The teacher's own numbers: its risks are its entropy.
ModesEnd modes_teacher(const ModesOptions& options);

/// Means over starts.
ModesEnd mean(const std::vector<ModesEnd>& ends);
/// How many starts ended on the big mode, on the small one, on neither.
std::array<int, 3> outcomes(const std::vector<ModesEnd>& ends);

/// Trains from each row of `starts` f64 (N, L) under the divergence of this name. Throws on options
/// out of range, an unknown divergence, or a shape that does not fit.
std::vector<ModesEnd> modes(const std::string& divergence, const Tensor& starts,
                            const ModesOptions& options = {});

/// The same training, as it was after each of these numbers of updates, rising from 0 to
/// options.steps: [frame][start].
std::vector<std::vector<ModesEnd>> modes_path(const std::string& divergence, const Tensor& starts,
                                              const ModesOptions& options,
                                              const std::vector<long>& frames);

}  // namespace retort
