#include "distill/hidden.h"

#include <cmath>
#include <sstream>

#include "losses/hidden.h"

namespace retort {
namespace {

const char kProjection[] = "projection.";

int depth_of(const ModelConfig& c, bool encoder) {
  bool both = c.architecture == "encoder_decoder";
  return encoder && both && c.encoder_layers ? c.encoder_layers : c.layers;
}

// The teacher's states of one stack for the student's 0, 1, ...
std::vector<int> states_of(const std::string& list, const std::string& stack, int student,
                           int teacher) {
  std::vector<int> states;
  if (list.empty())
    for (int i = 0; i <= student; i++)
      states.push_back(int(std::lround(double(i) * teacher / student)));
  std::stringstream s(list);
  for (std::string part; std::getline(s, part, ',');) {
    ENSURE(!part.empty() && part.find_first_not_of("0123456789") == std::string::npos &&
               part.size() < 6 && std::stoi(part) <= teacher,
           "layers " + list + ": the teacher's " + stack + " has states 0 (embeddings) to " +
               std::to_string(teacher) + ", not \"" + part + "\"");
    states.push_back(std::stoi(part));
  }
  ENSURE(int(states.size()) <= student + 1,
         "layers " + list + ": the student's " + stack + " has " + std::to_string(student + 1) +
             " states, embeddings included, " + std::to_string(states.size()) + " are listed");
  return states;
}

}  // namespace

std::string HiddenMatch::projection() const {
  return kProjection + std::string(encoder ? "encoder." : "decoder.") + std::to_string(student);
}

std::vector<HiddenMatch> hidden_matches(const std::string& layers, const ModelConfig& student,
                                        const ModelConfig& teacher) {
  size_t slash = layers.find('/');
  std::string first = layers.substr(0, slash),
              second = slash == std::string::npos ? first : layers.substr(slash + 1);
  bool both = teacher.architecture == "encoder_decoder";
  std::vector<HiddenMatch> matches;
  for (bool encoder : {true, false}) {
    if (teacher.architecture == (encoder ? "decoder" : "encoder")) continue;
    std::vector<int> states =
        states_of(both && !encoder ? second : first, encoder ? "encoder" : "decoder",
                  depth_of(student, encoder), depth_of(teacher, encoder));
    for (size_t i = 0; i < states.size(); i++) matches.push_back({encoder, int(i), states[i]});
  }
  return matches;
}

void add_projections(Parameters& parameters, const std::vector<HiddenMatch>& matches, int student,
                     int teacher) {
  if (student == teacher) return;
  for (const HiddenMatch& m : matches)
    parameters.add(m.projection(), {teacher, student}, 1 / std::sqrt(double(student)));
}

bool is_projection(const std::string& name) { return name.rfind(kProjection, 0) == 0; }

Tensor hidden_term(const std::vector<HiddenMatch>& matches, bool normalize, const Model& student,
                   const Outputs& of_student, const Outputs& of_teacher, const Counted& of_source,
                   const Counted& of_target) {
  Tensor total;
  for (const HiddenMatch& m : matches) {
    const Counted& counted = m.encoder ? of_source : of_target;
    auto state = [&](const Outputs& o, int i) {
      return (m.encoder ? o.encoder_hidden : o.hidden).at(size_t(i));
    };
    Tensor h = state(of_student, m.student), t = state(of_teacher, m.teacher), w;
    if (h.cols() != t.cols()) w = student.parameters()[m.projection()].value;
    Tensor loss = hidden_loss(h, t, counted.valid, counted.weights, w, normalize);
    total = total.defined() ? total + loss : loss;
  }
  return total;
}

}  // namespace retort
