// What the formats of data/reader.h share: how the next record is found, whole files with the
// line of every position in them, JSON whose elements know their lines.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>

#include "data/reader.h"

namespace retort {

/// Puts the next record into the example; false at the end. A record of a format with several
/// references puts them all into `references` and leaves `target` to read_corpus. What it counts as
/// left out stands in `left_out`, at the end of the file too. Throws
/// std::runtime_error with file and line for a record of another shape.
using NextRecord = std::function<bool(Example&)>;

/// Data-to-text, DART's JSON or XML (told apart by content) and WebNLG's XML (of a folder all .xml
/// files below it): triples as ReadOptions::split_names says, one line of text.
NextRecord dart_records(const ReadOptions& options);
NextRecord webnlg_records(const ReadOptions& options);
/// Commonsense Dialogues: every turn with the context and the turns before it.
NextRecord dialogue_records(const ReadOptions& options);
/// WMT's SGM, source and reference file; segments belong together by document and number.
NextRecord sgm_records(const ReadOptions& options);
/// GLUE's tasks, as TSV, and SuperGLUE's, as JSONL (data/tasks.h).
NextRecord glue_records(const ReadOptions& options);
NextRecord superglue_records(const ReadOptions& options);
/// Records that were read already, one by one.
NextRecord records_of(std::vector<Example> examples);

/// The files a path stands for: itself or, of a folder, all files below it that end in .xml, sorted
/// by path. Throws std::runtime_error for a folder without any.
std::vector<std::string> xml_files(const std::string& path);

/// A file, plain or gzip, as valid UTF-8 whose lines all end in '\n'. Throws std::runtime_error as
/// LineReader does, and for a file of white space, which says what was `expected`.
std::string read_text(const std::string& path, const std::string& expected);

/// Which line of a text, from 1, holds the byte at an offset; past the end the last.
class LineNumbers {
 public:
  explicit LineNumbers(const std::string& text);
  size_t of(size_t offset) const;

 private:
  std::vector<size_t> ends_;  // offsets of the line breaks
};

/// What stands between the tabs of a line.
std::vector<std::string> split_tabs(const std::string& line);

/// The JSON object on the next line; false at the end. Throws std::runtime_error, naming the line,
/// for what is no object, or is cut off.
bool next_object(LineReader& reader, nlohmann::json& object);

/// The text as one line: tabs and line breaks become spaces, none at the ends.
std::string one_line(std::string_view text);

/// A JSON array or object in the file's order (of a key that occurs twice the last value counts, as
/// in Python) and the line on which each element begins, by its key or, in an array, its number.
struct JsonFile {
  nlohmann::ordered_json value;
  std::map<std::string, size_t> lines;
};
/// Parses a file's text that is an array or object, as `type` says. Throws std::runtime_error,
/// naming the line and what was `expected`, for what is not, or is cut off.
JsonFile parse_json(const std::string& path, const std::string& text,
                    nlohmann::ordered_json::value_t type, const std::string& expected);

}  // namespace retort
