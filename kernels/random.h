// Randomness as a function: Philox4x32-10 (Salmon et al., SC 2011) of a key and a counter. The same
// mask and the same samples on every device and for every batch layout; resume needs only the step.
#pragma once
#include "kernels/math.h"

namespace retort {

/// Who asks: one random stream per (seed, step, site, sequence); `index` numbers its draws.
struct RandomKey {
  uint64_t seed = 0;
  uint32_t step = 0;      ///< optimizer step, or decoding step
  uint32_t site = 0;      ///< which layer or sampler asks
  uint32_t sequence = 0;  ///< number of the first sequence of the batch, in the whole step
};

/// Four 32-bit random words of counter (c0, c1, c2, c3) under key (k0, k1).
struct Philox {
  uint32_t c0, c1, c2, c3;
  HD static Philox draw(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2,
                        uint32_t c3) {
    for (int round = 0; round < 10; round++) {
      uint64_t a = uint64_t(0xD2511F53u) * c0, b = uint64_t(0xCD9E8D57u) * c2;
      c0 = uint32_t(b >> 32) ^ c1 ^ k0;
      c1 = uint32_t(b);
      c2 = uint32_t(a >> 32) ^ c3 ^ k1;
      c3 = uint32_t(a);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {c0, c1, c2, c3};
  }
};

/// Uniform in [0, 1) with 24 bits, draws 4 i to 4 i + 3 of sequence `key.sequence + sequence`.
HD Four<float> uniforms(const RandomKey& key, uint32_t sequence, uint32_t i) {
  Philox r = Philox::draw(uint32_t(key.seed), uint32_t(key.seed >> 32), i, key.sequence + sequence,
                          key.site, key.step);
  auto unit = [](uint32_t word) { return float(word >> 8) * 5.9604644775390625e-8f; };
  return {{unit(r.c0), unit(r.c1), unit(r.c2), unit(r.c3)}};
}
/// Draw `index` alone.
HD float uniform(const RandomKey& key, uint32_t sequence, uint32_t index) {
  Four<float> u = uniforms(key, sequence, index / 4);
  float low = index & 1 ? u.at[1] : u.at[0], high = index & 1 ? u.at[3] : u.at[2];
  return index & 2 ? high : low;
}

/// Standard normal (Box-Muller), draw `index`.
HD double normal(const RandomKey& key, uint32_t sequence, uint32_t index) {
  Philox r = Philox::draw(uint32_t(key.seed), uint32_t(key.seed >> 32), index,
                          key.sequence + sequence, key.site, key.step);
  double u = (double(r.c0) + 0.5) * 2.3283064365386963e-10;
  double v = double(r.c1) * 2.3283064365386963e-10;
  return ::sqrt(-2 * ::log(u)) * ::cos(6.283185307179586 * v);
}

}  // namespace retort
