// Corpora in the formats they are published in: tab-separated columns, two line-aligned files,
// JSONL, plain text, labelled texts, DART, WebNLG, XSum, WMT's SGM, Commonsense Dialogues, the
// tasks of GLUE and SuperGLUE. What is left out is counted under its reason. docs/data.md tells how
// each becomes examples.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/text.h"

namespace retort {

/// An answer that a model may give: as published, and in the words it is written in.
struct Choice {
  std::string label, text;
};

/// One example. Language modelling leaves `source` empty. Classification puts its text into
/// `source` (two texts joined by one tab, which no text contains) and the label as written into
/// `target`.
struct Example {
  std::string source, target;
  size_t line = 0;  ///< where it stands in its file (of two: in the first), from 1
  /// With ReadOptions::references = "together" all that an output may be compared to, the target
  /// first; otherwise, and in formats with one target, none.
  std::vector<std::string> references = {};
  /// Tasks (data/tasks.h) for generative models: `source` is the prompt, `target` the right one of
  /// these answers.
  std::vector<Choice> choices = {};
  std::string label = {};  ///< tasks: the right answer as published, whatever stands for it
  size_t group = 0;        ///< MultiRC: the question, from 1, whose answers these examples are
  /// What else the record held that is no part of an example, by reason, for Corpus::dropped; or
  /// what stood before it and is no record. None of a Corpus' examples.
  std::map<std::string, size_t> left_out = {};
};

/// What was read, how many examples (or parts of them) were left out for which reason, and the
/// checksum of the file read (of two files, both joined by '+'; of a folder, that of its files'
/// names and checksums).
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
  /// text: one file or several, one after the other, for language modelling; each line is a
  /// target.
  /// dart (JSON or XML), webnlg (an XML file, or a folder of them), commonsense_dialogues: one
  /// file. xsum: jsonl with the fields document and summary. wmt_sgm: two files, source and
  /// reference. glue:NAME, superglue:NAME (data/tasks.h): one file, TSV and JSONL.
  std::string format = "tsv";
  std::vector<std::string> paths = {};
  std::vector<std::string> source = {"1"};  ///< tsv, jsonl; jsonl: may be empty, no source
  std::string target = "2";                 ///< tsv, jsonl
  bool header = false;                      ///< tsv: the first line names the columns
  /// Formats with several references: "each" makes one example of each, "first" one of the first,
  /// "together" one that keeps them all (for evaluation).
  std::string references = "each";
  bool split_names = true;  ///< dart, webnlg: underscores and camel case become spaces, enclosing
                            ///< quotes go; false: names as they are written
  bool first_turn = false;  ///< commonsense_dialogues: the first turn is a target too
  /// The target is a class label or a number, which no filter counts; tasks: texts and labels for
  /// classifiers, where otherwise there are prompts and answers.
  bool labelled = false;

  size_t min_words = 0, max_words = 0;  ///< of each side; 0 = no limit, here and below
  size_t max_characters = 0;            ///< of each side
  bool deduplicate = false;             ///< keep the first of examples equal on both sides
  size_t limit = 0;                     ///< keep the first `limit` examples that pass
};

/// The names of the formats, how many files one of them takes (0: no such format), and whether it
/// takes so many: text takes that many or more.
std::vector<std::string> format_names();
size_t format_files(const std::string& format);
bool format_takes(const std::string& format, size_t files);

/// Reads a corpus. Examples with an empty side are always left out and counted. Throws
/// std::runtime_error for a file that cannot be read, has a line of another shape (file:line, what
/// was expected), for `parallel` files of different line counts, and when nothing is left;
/// std::invalid_argument for options that make no sense.
Corpus read_corpus(const ReadOptions& options);

}  // namespace retort
