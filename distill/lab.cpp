#include "distill/lab.h"

#include <fmt/core.h>

#include <cmath>
#include <set>

#include "build_commit.h"
#include "data/text.h"
#include "distill/page.h"
#include "distill/simplex.h"
#include "losses/divergence.h"

namespace retort {
namespace {

constexpr size_t most_points = 20, most_lines = 5;  // starts of which masses and letters are shown
constexpr int sides = 14;                           // of the field's grid

template <class Numbers>
Json rounded(const Numbers& numbers) {
  Json j = Json::array();
  for (double x : numbers) j.push_back(retort::rounded(x));
  return j;
}

// Where a distribution over (A, B, rest) lies in the triangle: A left, B right, the rest on top.
std::array<double, 2> at(const ThreeTokens& q) {
  return {q[1] + q[2] / 2, std::sqrt(3) / 2 * q[2]};
}

// Arrows that differ in length by powers of ten are all seen with lengths like the root of |dq/dt|;
// the longest is as long as the grid is wide.
Json arrows(const std::vector<FieldArrow>& field) {
  auto size = [](const FieldArrow& a) {
    auto [x, y] = at(a.flow);
    return std::hypot(x, y);
  };
  double most = 0;
  for (const FieldArrow& a : field) most = std::max(most, size(a));
  Json j = Json::array();
  for (const FieldArrow& a : field) {
    auto [x, y] = at(a.q);
    auto [dx, dy] = at(a.flow);
    double length = size(a), grow = length > 0 ? std::sqrt(most / length) / (most * sides) : 0;
    j.push_back({{"q", rounded(a.q)},
                 {"loss", retort::rounded(a.loss)},
                 {"flow", rounded(a.flow)},
                 {"from", rounded(std::array{x, y})},
                 {"to", rounded(std::array{x + grow * dx, y + grow * dy})}});
  }
  return j;
}

Json frame(const std::vector<ModesEnd>& ends) {
  Json j = {{"mean", json_of(ends)}, {"mass", Json::array()}, {"letters", Json::array()}};
  for (size_t n = 0; n < std::min(ends.size(), most_points); n++)
    j["mass"].push_back(rounded(ends[n].mass));
  for (size_t n = 0; n < std::min(ends.size(), most_lines); n++)
    j["letters"].push_back(rounded(ends[n].letters));
  return j;
}

}  // namespace

void add_page_option(CLI::App& command, std::string& path) {
  command
      .add_option("-o,--page", path, "Also write a page that shows it, to be opened in a browser")
      ->type_name("FILE.html");
}

void write_page(const std::string& path, const std::string& kind, Json page) {
  if (path.empty()) return;
  page["kind"] = kind, page["version"] = RETORT_VERSION, page["commit"] = RETORT_COMMIT;
  write_file_atomically(path, html_of(page, Page::lab));
}

Json rounded(double x) {
  return std::isfinite(x) ? Json(std::stod(fmt::format("{:.6g}", x))) : Json();
}

Json json_of(const ModesEnd& e) {
  return {{"big_mode", e.mass[0]},
          {"small_mode", e.mass[1]},
          {"off_mode", e.off_mode()},
          {"coverage_risk", e.coverage_risk},
          {"likelihood_risk", e.likelihood_risk}};
}

Json json_of(const std::vector<ModesEnd>& ends) {
  Json j = json_of(mean(ends));
  std::array<int, 3> count = outcomes(ends);
  j["starts"] = {{"big", count[0]}, {"small", count[1]}, {"neither", count[2]}};
  return j;
}

std::vector<long> frames_of(long steps, int most) {
  std::set<long> frames{0, steps};
  for (int i = 0; i < most && steps > 0; i++)
    frames.insert(std::lround(std::pow(double(steps), double(i) / most)));
  return {frames.begin(), frames.end()};
}

Json page_of_modes(const ModesOptions& o, const std::vector<std::string>& losses,
                   const std::vector<ModesPath>& paths) {
  ModesEnd of_teacher = modes_teacher(o);
  size_t starts = paths.at(0).at(0).size();
  Json page = {{"title", "Modes"}, {"length", o.length},
               {"starts", starts}, {"frames", frames_of(o.steps)},
               {"shown", losses},  {"teacher", json_of(of_teacher)}};
  page["facts"] =
      fmt::format("Teacher: {} A^{} + {} B^{} + {:.3g} uniform; {} starts, {} steps of Adam at {}.",
                  o.weights[0], o.length, o.weights[1], o.length, 1 - o.weights[0] - o.weights[1],
                  starts, o.steps, o.rate);
  page["teacher"]["letters"] = rounded(of_teacher.letters);
  for (size_t i = 0; i < losses.size(); i++)
    for (const auto& ends : paths[i]) page["paths"][losses[i]].push_back(frame(ends));

  ThreeTokens p{o.weights[0], o.weights[1], 1 - o.weights[0] - o.weights[1]};
  ThreeTokens collapsed{0.98, 0.01, 0.01};
  std::vector<double> dropped_q, temperatures;
  for (int i = 1; i <= 40; i++) dropped_q.push_back(p[1] * std::pow(10, -i / 5.0));
  for (int i = -12; i <= 36; i++) temperatures.push_back(std::pow(2, i / 6.0));
  page["p"] = rounded(p), page["p_at"] = rounded(at(p)), page["student"] = rounded(collapsed);
  page["dropped_q"] = rounded(dropped_q), page["temperatures"] = rounded(temperatures);
  for (double t : temperatures) page["targets"].push_back(rounded(softened(p, t)));
  for (const DivergenceInfo& d : divergences()) {
    std::vector<double> norms = gradient_norms(d.name, p, collapsed, temperatures), scaled = norms;
    for (size_t i = 0; i < scaled.size(); i++) scaled[i] *= temperatures[i] * temperatures[i];
    page["divergences"].push_back({{"name", d.name},
                                   {"formula", d.formula},
                                   {"field", arrows(gradient_field(d.name, p, sides))},
                                   {"dropped", rounded(dropped_gradient(d.name, p[1], dropped_q))},
                                   {"norms", rounded(norms)},
                                   {"scaled_norms", rounded(scaled)}});
  }
  return page;
}

}  // namespace retort
