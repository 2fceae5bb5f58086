// Attention forward and backward, B 8, H 8, D 64, causal.
#include "bench/bench.h"
#include "engine/ops.h"
#include "engine/safetensors.h"

namespace retort {

std::vector<Work> attention_works() {
  std::vector<Work> works;
  for (int T : {128, 1024, 4096})
    works.push_back({"attention/" + std::to_string(T), [T](const std::string& folder) {
                       std::map<std::string, Tensor> in;
                       for (auto [name, seed] : {std::pair{"q", 1}, {"k", 2}, {"v", 3}, {"dy", 4}})
                         in[name] = random_normal({8, T, 8, 64}, uint64_t(seed));
                       save_safetensors(folder + "/inputs.safetensors", in);
                       Tensor q = parameter(in["q"]), k = parameter(in["k"]),
                              v = parameter(in["v"]), dy = in["dy"];
                       return [=] {
                         Attention causal;
                         causal.causal = true;
                         Tensor y = attention(q, k, v, causal);
                         backward(y, dy);
                         Results r = {{"y", slice(y.detach(), 1, T - 1, 1)}};
                         for (auto [name, x] : {std::pair{"dq", q}, {"dk", k}, {"dv", v}}) {
                           r[name] = slice(grad(x), 1, T - 1, 1);
                           x.node->grad = {};
                         }
                         return r;
                       };
                     }});
  return works;
}

}  // namespace retort
