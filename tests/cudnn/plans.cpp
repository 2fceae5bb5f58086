// Builds cuDNN's attention plans for the device that a JSON file describes, which need not be here:
// a process of its own, run by cudnn.mk with a stub libcuda. It shows that cuDNN takes what
// cudnn_attention_accepts() promises, not that the numbers are right.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "kernels/attention_cudnn.h"

using namespace retort;

namespace {

struct Case {
  const char* name;
  AttentionShape shape;
};

enum Mask { FULL, LENGTHS, CAUSAL, CAUSAL_LENGTHS };

AttentionShape shape(int B, int T, int S, int H, int K, int D, Mask mask) {
  AttentionShape s{B, T, S, H, K, D, false, false, false, {}, {}, {}};
  s.causal = mask == CAUSAL || mask == CAUSAL_LENGTHS;
  s.lengths = mask == LENGTHS || mask == CAUSAL_LENGTHS;
  return s;
}

// q, k and v side by side in one product of H (D + D + D) columns.
AttentionShape packed(AttentionShape s) {
  int64_t row = 3 * s.H * s.D;
  s.q = s.k = s.v = {s.T * row, row, s.D};
  return s;
}

const std::vector<Case> kAccepted = {
    {"encoder", shape(8, 128, 128, 12, 12, 64, LENGTHS)},
    {"encoder", shape(8, 512, 512, 12, 12, 64, LENGTHS)},
    {"encoder, packed", packed(shape(8, 512, 512, 12, 12, 64, LENGTHS))},
    {"decoder", shape(8, 512, 512, 12, 12, 64, CAUSAL)},
    {"decoder", shape(8, 512, 512, 12, 12, 128, CAUSAL)},
    {"decoder, padded", shape(8, 512, 512, 12, 12, 64, CAUSAL_LENGTHS)},
    {"decoder, grouped", shape(8, 512, 512, 12, 4, 64, CAUSAL)},
    {"decoder, later part", shape(8, 128, 512, 12, 12, 64, CAUSAL)},
    {"encoder-decoder, self", shape(8, 128, 128, 12, 12, 64, CAUSAL)},
    {"encoder-decoder, cross", shape(8, 128, 512, 12, 12, 64, LENGTHS)},
    {"encoder-decoder, cross", shape(8, 512, 128, 12, 12, 64, LENGTHS)},
    {"encoder-decoder, cross", shape(8, 128, 512, 12, 12, 64, FULL)},
    {"odd", shape(3, 37, 53, 6, 2, 72, LENGTHS)},
    {"odd", shape(1, 53, 53, 5, 5, 8, CAUSAL_LENGTHS)},
    {"odd", shape(1, 37, 53, 5, 5, 120, CAUSAL)},
    {"smallest", shape(1, 2, 2, 1, 1, 8, FULL)},
};

const std::vector<Case> kRefused = {
    {"head size 60", shape(8, 512, 512, 12, 12, 60, FULL)},
    {"head size 136", shape(8, 512, 512, 12, 12, 136, FULL)},
    {"causal, T > S", shape(8, 512, 128, 12, 12, 64, CAUSAL)},
    {"causal, lengths, T < S", shape(8, 128, 512, 12, 12, 64, CAUSAL_LENGTHS)},
    {"heads not in groups", shape(8, 512, 512, 12, 5, 64, FULL)},
    {"one query", shape(8, 1, 512, 12, 12, 64, FULL)},
};

bool build(const Case& c, bool backward, const std::string& device) {
  const AttentionShape& s = c.shape;
  AttentionPlan plan = cudnn_attention_plan(s, backward, device);
  bool good = cudnn_attention_accepts(s) && plan.built;
  std::printf("%-22s B%d T%-3d S%-3d H%-2d K%-2d D%-3d %-6s %-7s %-10s ", c.name, s.B, s.T, s.S,
              s.H, s.K, s.D, s.causal ? "causal" : "full", s.lengths ? "lengths" : "",
              backward ? s.deterministic ? "repeatable" : "backward" : "forward");
  if (good) {
    std::printf("engine %d, workspace %lld\n", int(plan.engine), (long long)plan.workspace);
  } else {
    std::printf("NOT BUILT: %s\n", plan.refusal.c_str());
  }
  std::fflush(stdout);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  std::ifstream file(argc > 1 ? argv[1] : "tests/cudnn/h100.json");
  std::string device{std::istreambuf_iterator<char>(file), {}};
  if (!cudnn_attention_found()) {
    std::printf("SKIPPED: cuDNN 9.16 or later is not found\n");
    return 0;
  }
  int bad = 0;
  for (Case c : kAccepted) {
    bad += !build(c, false, device);
    for (bool deterministic : {false, true})  // the second is what training takes
      c.shape.deterministic = deterministic, bad += !build(c, true, device);
  }
  for (const Case& c : kRefused) {
    if (!cudnn_attention_accepts(c.shape)) continue;
    std::printf("%-22s ACCEPTED, and must not be\n", c.name);
    ++bad;
  }
  // With no device there is nothing to run on, and the caller has to hear so.
  auto memory = [](size_t) -> void* { return nullptr; };
  if (cudnn_attention_forward(kAccepted[0].shape, AttentionBuffers{}, nullptr, memory)) ++bad;
  std::printf("%d plans of cuDNN's attention, %d wrong\n", int(3 * kAccepted.size()), bad);
  return bad != 0;
}
