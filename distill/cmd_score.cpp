// retort score: BLEU and chrF of a hypothesis file against reference files.
#include <fmt/core.h>

#include <memory>

#include "data/bleu.h"
#include "data/chrf.h"
#include "data/text.h"
#include "distill/commands.h"
#include "distill/toml.h"

namespace retort {

void add_score_command(CLI::App& app) {
  struct Arguments {
    std::vector<std::string> metrics{"bleu", "chrf"}, references;
    std::string hypothesis;
    bool json = false;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* c =
      app.add_subcommand("score", "BLEU and chrF, as sacreBLEU defines them, of plain text files");
  c->add_option("--metric", a->metrics, "bleu, chrf, or both")
      ->delimiter(',')
      ->check(CLI::IsMember({"bleu", "chrf"}))
      ->capture_default_str();
  c->add_option("--ref", a->references,
                "References, one segment a line; more than one file may be given")
      ->required()
      ->take_all();
  c->add_option("--hyp", a->hypothesis, "Hypotheses, one segment a line")->required();
  c->add_flag("--json", a->json, "One JSON object");
  c->footer("Example:  retort score --metric bleu,chrf --ref REF.txt --hyp HYP.txt --json");
  c->callback([a] {
    std::vector<std::string> hypotheses = read_lines(a->hypothesis);
    std::vector<std::vector<std::string>> references;
    for (const std::string& path : a->references) {
      references.push_back(read_lines(path));
      if (references.back().size() != hypotheses.size())
        throw std::runtime_error(
            fmt::format("{} has {} lines, {} has {}: one segment a line in both", path,
                        references.back().size(), a->hypothesis, hypotheses.size()));
    }
    Json j;
    for (const std::string& metric : a->metrics)
      if (metric == "bleu") {
        Bleu b = bleu(hypotheses, references);
        j["bleu"] = {{"score", b.score}, {"signature", b.signature}};
      } else {
        Chrf s = chrf(hypotheses, references);
        j["chrf"] = {{"score", s.score}, {"signature", s.signature}};
      }
    if (a->json) {
      fmt::print("{}\n", j.dump());
      return;
    }
    for (const auto& [name, s] : j.items())
      fmt::print("{} = {:.2f}  {}\n", name, s["score"].get<double>(),
                 s["signature"].get<std::string>());
  });
}

}  // namespace retort
