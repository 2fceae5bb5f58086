// A student that starts as chosen layers of its teacher.
#include <sstream>

#include "models/model.h"

namespace retort {
namespace {

std::vector<int> layer_list(const std::string& text, int depth, const std::string& what,
                            const std::string& from) {
  std::vector<int> layers;
  std::stringstream s(text);
  for (std::string part; std::getline(s, part, ',');) {
    ENSURE(!part.empty() && part.find_first_not_of("0123456789") == std::string::npos &&
               part.size() < 6,
           "init " + from + ":" + text + ": \"" + part + "\" is no layer number");
    layers.push_back(std::stoi(part));
    ENSURE(layers.back() < depth, "init " + from + ":" + text + ": its " + what +
                                      " has layers 0 to " + std::to_string(depth - 1) + ", not " +
                                      part);
  }
  return layers;
}

}  // namespace

std::string copy_layers(const Model& teacher, Model& student, const std::string& layers,
                        const std::string& origin) {
  const ModelConfig &t = teacher.config(), &s = student.config();
  bool both = t.architecture == "encoder_decoder";
  ENSURE(t.architecture == s.architecture,
         "init " + origin + ": it is a " + t.architecture + ", the student a " + s.architecture);
  size_t slash = layers.find('/');
  std::string first = layers.substr(0, slash),
              second = slash == std::string::npos ? first : layers.substr(slash + 1);
  std::string log;
  std::map<std::string, std::string> from;  // student's prefix -> teacher's
  auto match = [&](const std::string& stack, const std::string& list, int teacher_depth,
                   int student_depth) {
    std::vector<int> chosen = layer_list(list, teacher_depth, stack, origin);
    ENSURE(int(chosen.size()) == student_depth, "init " + origin + ":" + layers +
                                                    ": the student's " + stack + " has " +
                                                    std::to_string(student_depth) + " layers, " +
                                                    std::to_string(chosen.size()) + " are listed");
    for (size_t i = 0; i < chosen.size(); i++) {
      from[stack + ".layers." + std::to_string(i) + "."] =
          stack + ".layers." + std::to_string(chosen[i]) + ".";
      log += (log.empty() ? "" : "\n") + std::string("student ") + stack + " layer " +
             std::to_string(i) + " <- " + origin + " " + stack + " layer " +
             std::to_string(chosen[i]);
    }
  };
  auto depth = [&](const ModelConfig& c, bool encoder) {
    return encoder && both && c.encoder_layers ? c.encoder_layers : c.layers;
  };
  if (t.architecture != "decoder") match("encoder", first, depth(t, true), depth(s, true));
  if (t.architecture != "encoder") match("decoder", both ? second : first, t.layers, s.layers);
  bool new_head = t.architecture == "encoder" && t.classes == 0 && s.classes > 0;
  std::map<std::string, Tensor> values, theirs = teacher.parameters().values();
  for (const Parameter& p : student.parameters().list()) {
    std::string name = p.name;
    if (new_head && (name.rfind("pooler.", 0) == 0 || name.rfind("classifier.", 0) == 0)) continue;
    for (const auto& [mine, theirs] : from)
      if (name.rfind(mine, 0) == 0) {
        name = theirs + name.substr(mine.size());
        break;
      }
    const Tensor& value = teacher.parameters()[name].value;
    ENSURE(value.shape == p.value.shape, "init " + origin + ": " + p.name + " has shape " +
                                             text(p.value.shape) + " in the student, " +
                                             text(value.shape) +
                                             " there: copying layers needs equal widths");
    values[p.name] = theirs.at(name);
  }
  student.parameters().load(values, new_head);
  return log;
}

}  // namespace retort
