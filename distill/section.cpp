#include "distill/section.h"

#include "distill/recipe_keys.h"
#include "engine/suggest.h"

namespace retort {

Reader::Reader(const TomlFile& file, Json table, std::string path)
    : file_(file), table_(std::move(table)), path_(std::move(path)) {
  if (table_.is_null()) table_ = Json::object();
  if (!table_.is_object()) throw std::runtime_error(where("") + " must be a table");
}

std::string Reader::where(const std::string& key) const {
  std::string full = path_.empty() ? key : key.empty() ? path_ : path_ + "." + key;
  for (std::string k = full;;) {
    auto found = file_.where.find(k);
    if (found != file_.where.end()) return found->second + ": " + full;
    size_t dot = k.rfind('.');
    if (dot == std::string::npos) return full;
    k.resize(dot);
  }
}

Json Reader::take(const char* key) {
  known_.push_back(key);
  auto found = table_.find(key);
  if (found == table_.end()) return nullptr;
  Json value = *found;
  table_.erase(found);
  return value;
}

void Reader::finish() const {
  if (table_.empty()) return;
  std::string key = table_.begin().key(), near = nearest(key, known_);
  if (near.empty())  // of another table: "steps" is train.steps
    for (const std::string& k : recipe_keys())
      if (k.ends_with("." + key) && (near.empty() || k.size() < near.size())) near = k;
  throw std::runtime_error(where(key) + ": unknown key" +
                           (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

void Reader::wrong_type(const char* key, const Json& got, const Json& expected) const {
  std::string type = expected.is_number_unsigned()  ? "a number that is not negative"
                     : expected.is_number_integer() ? "a whole number"
                                                    : std::string("a ") + expected.type_name();
  throw std::runtime_error(where(key) + ": expected " + type + ", got " + got.dump());
}

}  // namespace retort
