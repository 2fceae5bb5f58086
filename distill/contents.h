// What a file or folder holds, for `retort inspect`: its kind is found from the content. The
// readers are those of the program, so what one refuses is refused here in the same words.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace retort {

/// Keys in the order they are shown in.
using Contents = nlohmann::ordered_json;

/// {"file", "kind", "bytes", "checksum" (XXH3-128), ...}, of the kinds
///   weights, checkpoint, teacher cache, tensors: metadata, and of each tensor type, shape, bytes,
///     the first numbers in float64, least, largest and mean one that is finite, how many are not,
///     checksum of its bytes; no numbers of types that have none one by one (F4)
///   tokenizer: pieces, special ids, the first pieces
///   recipe: every key with its value and where it stood, stages with their fingerprints
///   data set: examples, what was left out, lengths, the first rows
///   results: one stage's figures; run, stage: folders, the state of each stage
///   metrics, manifest, inspection, timing, teacher sequences, TensorBoard events: a run's other
///     files; JSON object, list, lines: any others; keys or fields with their first and last values
///   folder: one of no known kind, what lies in it
/// `overrides` are keys of a recipe: over the recipe's own, or telling how a data set is read
/// ("data.format=glue:sst2"), which is otherwise guessed; JSON lines are a data set only with them.
/// `rows` are shown of tables without end.
/// Throws std::runtime_error, one line, for what is missing, damaged, empty or of no known kind,
/// and for overrides of other kinds.
Contents contents_of(const std::string& path, const std::vector<std::string>& overrides = {},
                     size_t rows = 3);

/// The parts of it in files of their own, without "file", "bytes" and "checksum".
Contents tensor_contents(const std::string& path, size_t rows);
Contents json_contents(const std::string& path, size_t rows);
Contents events_contents(const std::string& path);
Contents recipe_contents(const std::string& path, const std::vector<std::string>& overrides);
Contents run_contents(const std::string& folder);
Contents stage_contents(const std::string& folder);

}  // namespace retort
