// What the names of methods stand for, and whose sequences terms see.
#include <fmt/core.h>

#include "distill/recipe.h"
#include "losses/divergence.h"

namespace retort {

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {"mle", "seqkd", "kd",  "engine",    "kl",   "rkl",
                                                 "js",  "gjs",   "tvd", "predistil", "terms"};
  return names;
}

bool Stage::sees(const std::string& writer) const {
  double share =
      writer == "teacher" ? mix.teacher + mix_end.teacher : mix.student + mix_end.student;
  for (const Term& t : terms)
    if (t.on == writer || (t.on == "mixed" && share > 0)) return true;
  return false;
}

bool Stage::uses_kept(const Term& t) const {
  return teacher_sequences.keep != "text" && t.on == "teacher" && t.loss != "ce";
}
bool Stage::uses_kept() const {
  return std::any_of(terms.begin(), terms.end(), [&](const Term& t) { return uses_kept(t); });
}

std::vector<Term> method_terms(const std::string& method) {
  if (method == "mle") return {{"ce", "gold"}};
  if (method == "seqkd") return {{"ce", "teacher"}};
  if (method == "kd") return {{"kl", "gold"}};
  if (method == "engine") return {{"engine", "student"}};
  if (method == "kl") return {{"kl", "teacher"}};
  if (method == "rkl") return {{"rkl", "student"}};
  if (method == "tvd") return {{"tvd", "teacher", 0.5}, {"tvd", "student", 0.5}};
  if (method == "predistil") {
    Term hidden{"hidden", "gold", 3};
    hidden.normalize = true;
    return {{"kl", "gold", 0.8}, {"ce", "gold", 0.2}, hidden};
  }
  if (method == "js") return method_terms("gjs:0.5");
  if (method.substr(0, method.find(':')) == "gjs") {
    double beta = parse_divergence(method).parameter;
    auto number = [](double x) { return fmt::format("{}", x); };
    return {{"skew_kl:" + number(beta), "teacher", beta},
            {"skew_rkl:" + number(1 - beta), "student", 1 - beta}};
  }
  throw std::runtime_error("method: " + no_such(method, method_names()));
}

}  // namespace retort
