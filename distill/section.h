// Options structs and TOML tables: each struct lists its fields once, in visit(); a Reader fills
// them from a table and complains about what is left over, a Writer makes the table.
#pragma once
#include "distill/toml.h"

namespace retort {

/// Reads one table. Every key asked for is crossed out; finish() throws on the first key left,
/// naming its place and the nearest known key, or the other table of a recipe that has it.
class Reader {
 public:
  Reader(const TomlFile& file, Json table, std::string path);

  template <class T>
  void operator()(const char* key, T& value) {
    known_.push_back(key);
    auto found = table_.find(key);
    if (found == table_.end()) return;
    try {
      value = convert(*found, value);
    } catch (const std::exception&) {
      wrong_type(key, *found, Json(value));
    }
    table_.erase(found);
  }
  /// The table or list under `key`, taken out; null when it is absent.
  Json take(const char* key);
  void finish() const;
  /// "file:line: section.key" for messages.
  std::string where(const std::string& key) const;

 private:
  // A number may be written without its point; an integer, a string or a list must be one.
  static double convert(const Json& j, double) { return j.get<Json::number_float_t>(); }
  static bool convert(const Json& j, bool) { return j.get<bool>(); }
  // Column 2, folder 5: a whole number may stand where a name does.
  static std::string convert(const Json& j, const std::string&) {
    return j.is_number_integer() ? j.dump() : j.get<std::string>();
  }
  template <class T>
  static T convert(const Json& j, const T&) {
    if constexpr (std::is_integral_v<T>) {
      if (!j.is_number_integer()) throw std::invalid_argument("integer");
      if (std::is_unsigned_v<T> ? j.get<int64_t>() < 0 : j.get<int64_t>() != j.get<T>())
        throw std::invalid_argument("out of range");
    }
    return j.get<T>();
  }
  static std::vector<std::string> convert(const Json& j, const std::vector<std::string>&) {
    if (!j.is_array()) return {convert(j, std::string())};
    std::vector<std::string> list;
    for (const Json& item : j) list.push_back(convert(item, std::string()));
    return list;
  }
  [[noreturn]] void wrong_type(const char* key, const Json& got, const Json& expected) const;
  const TomlFile& file_;
  Json table_;
  std::string path_;
  std::vector<std::string> known_;
};

class Writer {
 public:
  Json table = Json::object();
  template <class T>
  void operator()(const char* key, const T& value) {
    table[key] = value;
  }
};

}  // namespace retort
