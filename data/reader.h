// Corpora in the formats they are published in: tab-separated columns, two line-aligned files,
// JSONL, plain text, labelled texts. What is left out is counted under its reason.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/text.h"

namespace retort {

/// One example. Language modelling leaves `source` empty. Classification puts its text into
/// `source` (two texts joined by one tab, which no text contains) and the label as written into
/// `target`.
struct Example {
  std::string source, target;
  size_t line = 0;  ///< where it stands in the (first) file, from 1
};

/// What was read, how many examples were left out for which reason, and the checksum of the file
/// read (of two files, both joined by '+').
struct Corpus {
  std::vector<Example> examples;
  std::map<std::string, size_t> dropped;
  std::string checksum;
  std::string path;  ///< of the (first) file
};

/// How to read a corpus. A column of a tsv file is a number from 1 or, with `header`, a name of the
/// first line. Several `source` columns or fields (sentence pairs) are joined by a tab.
struct ReadOptions {
  /// tsv: one file of tab-separated columns, never quoted.
  /// parallel: two files, source and target; their lines belong together one by one.
  /// jsonl: one file with a JSON object a line; `source` and `target` name fields.
  /// text: one file for language modelling; each line is a target.
  std::string format = "tsv";
  std::vector<std::string> paths = {};
  std::vector<std::string> source = {"1"};  ///< tsv, jsonl; jsonl: may be empty, no source
  std::string target = "2";                 ///< tsv, jsonl
  bool header = false;                      ///< tsv: the first line names the columns
  bool labelled = false;  ///< the target is a class label or a number, which no filter counts

  size_t min_words = 0, max_words = 0;  ///< of each side; 0 = no limit, here and below
  size_t max_characters = 0;            ///< of each side
  bool deduplicate = false;             ///< keep the first of examples equal on both sides
  size_t limit = 0;                     ///< keep the first `limit` examples that pass
};

/// Reads a corpus. Examples with an empty side are always left out and counted. Throws
/// std::runtime_error for a file that cannot be read, has a line of another shape (file:line, what
/// was expected), for `parallel` files of different line counts, and when nothing is left;
/// std::invalid_argument for options that make no sense.
Corpus read_corpus(const ReadOptions& options);

}  // namespace retort
