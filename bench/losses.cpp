// Losses forward and backward: divergences, output projections with a divergence, batch-wise
// Sinkhorn.
#include "losses/divergence.h"

#include "bench/bench.h"
#include "engine/safetensors.h"
#include "losses/projection.h"
#include "losses/transport.h"

namespace retort {
namespace {

// Loss of all rows, and the gradient in the student's logits.
Results loss_and_gradient(const Tensor& student, const Tensor& loss) {
  backward(sum(loss));
  Results r = {{"loss", loss.detach()}, {"gradient", slice(grad(student), 0, 0, 1)}};
  student.node->grad = {};
  return r;
}

Work divergence_work(const std::string& name) {
  return {"divergence/" + name, [=](const std::string& folder) {
            Tensor teacher = random_normal({256, 32000}, 1, 3),
                   student = random_normal({256, 32000}, 2, 3);
            save_safetensors(folder + "/inputs.safetensors",
                             {{"teacher", teacher}, {"student", student}});
            student = parameter(student);
            return [=] {
              return loss_and_gradient(student,
                                       divergence(parse_divergence(name), teacher, student));
            };
          }};
}

Work sinkhorn_work(int B, int C) {
  return {"sinkhorn/" + std::to_string(B) + "x" + std::to_string(C),
          [=](const std::string& folder) {
            Tensor teacher = random_normal({B, C}, 1, 3), student = random_normal({B, C}, 2, 3);
            save_safetensors(folder + "/inputs.safetensors",
                             {{"teacher", teacher}, {"student", student}});
            student = parameter(student);
            Transport t = parse_transport("sinkhorn:published");
            TransportInputs in;
            in.teacher = teacher, in.student = student;
            return [=] { return loss_and_gradient(student, transport(t, in).loss); };
          }};
}

// Output projections of teacher and student and js between them, mean over rows.
Work projection_work(bool whole) {
  return {std::string("projection/") + (whole ? "whole" : "rows"), [=](const std::string&) {
            constexpr int N = 4096, C = 768, V = 50257;
            Tensor th = random_normal({N, C}, 1), tw = random_normal({V, C}, 2, 0.05),
                   sh = parameter(random_normal({N, C}, 3)),
                   sw = parameter(random_normal({V, C}, 4, 0.05));
            Tensor weights = Tensor::full({N}, 1.0 / N);
            return [=] {
              Tensor loss =
                  whole ? sum(mul(divergence({"js"}, linear(th, tw), linear(sh, sw)), weights))
                        : projected_divergence({"js"}, {th, tw}, {sh, sw}, weights).total;
              backward(loss);
              Results r = {{"loss", loss.detach()},
                           {"dh", slice(grad(sh), 0, 0, 1)},
                           {"dw", slice(grad(sw), 0, 0, 1)}};
              for (const Tensor& x : {sh, sw}) x.node->grad = {};
              return r;
            };
          }};
}

}  // namespace

std::vector<Work> loss_works() {
  std::vector<Work> works;
  for (const char* name : {"kl", "rkl", "js", "tvd", "alpha:0.5"})
    works.push_back(divergence_work(name));
  for (bool whole : {false, true}) works.push_back(projection_work(whole));
  works.push_back(sinkhorn_work(64, 3));
  works.push_back(sinkhorn_work(256, 1000));
  works.push_back(sinkhorn_work(64, 32000));
  return works;
}

}  // namespace retort
