// A recipe: one TOML file is one experiment. Every option with its default; docs/recipes.md
// explains them.
#pragma once
#include "data/batch.h"
#include "data/reader.h"
#include "distill/section.h"
#include "engine/optimizer.h"
#include "losses/cross_entropy.h"
#include "models/decode.h"

namespace retort {

/// [data]: which files, in which format (data/reader.h), laid out how (data/batch.h).
struct DataOptions {
  std::string format = "tsv", layout = "seq2seq";
  std::vector<std::string> train, valid, test;  ///< one file each; two, or more, for some formats
  std::vector<std::string> source = {"1"};
  std::string target = "2";
  bool header = false, deduplicate = false, truncate = false;
  std::string references = "each";  ///< training: each or first; evaluation keeps them together
  bool split_names = true, first_turn = false;
  size_t min_words = 0, max_words = 0, max_characters = 0;
  size_t limit = 0, valid_limit = 0, test_limit = 0;  ///< 0: all
  std::vector<std::string> second_test;               ///< metrics are also computed on it
  std::string second_format;                          ///< of second_test; empty: format
  size_t second_limit = 0;
  int max_source = 128, max_target = 128;  ///< tokens
  std::string labels = "names";            ///< classify: names or numbers; of tasks as they are
};

/// [tokenizer]: a given SentencePiece model, or how to train one on the training text.
struct VocabularyOptions {
  std::string model;
  int size = 4000;
  std::string type = "unigram";
};

/// [train], and [teacher.train], [students.NAME.train] over it.
struct TrainOptions {
  long steps = 0;  ///< updates; 0: from epochs
  double epochs = 1;
  int tokens = 4096, rows = 0;  ///< of one batch (data/batch.h)
  int accumulate = 1;           ///< batches of one update
  OptimizerOptions optimizer;
  double learning_rate = 1e-3, floor = 0;
  std::string schedule = "inverse_sqrt";
  long warmup = 0;
  double clip = 1, smoothing = 0;
  std::string reduction = "tokens";
  bool graph = false;  ///< on cuda: an update's work is launched as one (kernels/graph.h)
  long log_every = 50, valid_every = 0, save_every = 200;
  bool tensorboard = false;  ///< an event file beside metrics.jsonl (distill/tensorboard.h)
};

/// One term of an objective: a loss on the positions of some sequences.
struct Term {
  /// ce, a divergence (losses/divergence.h), a transport loss (losses/transport.h), mse: squared
  /// error between both sides' logits (losses/squared_error.h), or hidden: matching of hidden
  /// states (distill/hidden.h).
  std::string loss = "ce";
  /// Who wrote the target sequences: gold, teacher, student, or "mixed": one of them, drawn for
  /// each update by [STAGE.mix].
  std::string on = "gold";
  double weight = 1;
  double temperature = 1;  ///< unless given, in the file, the loss's own: of transport losses 2
  /// At the last update, with a straight line between; 0: as at the first.
  double temperature_end = 0;
  std::vector<std::string> parameters = {};  ///< of a transport loss: "eps=0.1"
  /// Which tokens' logits the softmax of both sides runs over: "all", or "answers": those of a
  /// task's fixed answers and the end (answer_tokens()).
  std::string vocabulary = "all";
  /// What skew_kl and skew_rkl mix with: "arithmetic": alpha; "exact": the conditional of the
  /// sequences' mixture (f-DISTILL, eq. 12); "exact_detached": without its gradient.
  std::string mixture = "arithmetic";
  /// The gradient through sampling, of rkl and of skew_rkl with the exact mixture on student
  /// samples (losses/sequence.h): "none", "mc" or "rb".
  std::string score_term = "none";
  /// hidden: the teacher's states for the student's 0, 1, ... (hidden_matches()); and whether each
  /// is normalised first.
  std::string layers = {};
  bool normalize = false;
};

/// How sequences are decoded (models/decode.h).
struct Decoding {
  std::string method = "greedy";  ///< greedy, beam, beam_sample, sample
  int beams = 4;
  double length_penalty = 1;
  double temperature = 1;  ///< sample
  int top_k = 0;           ///< sample and beam_sample: of the likeliest tokens; 0: of all
  double top_p = 1;        ///< sample
  int min_length = 0;      ///< tokens, the end included
};
/// [STAGE.teacher_sequences]: the teacher's targets for the training text.
struct TeacherSequences : Decoding {
  bool offline = true;  ///< drawn once, before training, and kept (distill/sequences.h)
  /// What is kept of them beside the text, so that terms on them need not run the teacher
  /// (distill/teacher_rows.h): "text": nothing; "top_k": the keep_k largest probabilities and the
  /// sum of the others, to which divergences are then coarsened; "full": all.
  std::string keep = "text";
  int keep_k = 32;
};

/// [STAGE.student_sequences]: the student's targets, drawn while it learns. Between two drawings
/// sequences of earlier ones are used again, as DistiLLM does with its replay buffer.
struct StudentSequences : Decoding {
  long every = 1;  ///< updates from one drawing to the next
  int replay = 0;  ///< with every > 1: how many are kept, the latest; 0: those of the last drawing
};
/// [STAGE.mix], and [STAGE.mix_end] for the last update with a straight line between: whose the
/// sequences of an update are that terms "on" mixed see; shares, their sum counts as 1. GKD's
/// on-policy fraction is the student's share.
struct Mix {
  double gold = 0, teacher = 0, student = 0;
  double sum() const { return gold + teacher + student; }
};

/// A model and how it is trained: [teacher] or [students.NAME].
struct Stage {
  std::string name;
  ModelConfig model;
  /// random, a file's path (with ":0,2" layers of it), "teacher:0,2" (copied layers), or
  /// "student:NAME" (the weights of a student before this one).
  std::string init = "random";
  std::string method = "mle";  ///< a name of method_terms(), or "terms"
  /// Of the method's terms that can take them (see Term); "arithmetic" and "none" where terms are
  /// given.
  std::string mixture = "arithmetic", score_term = "none";
  std::vector<Term> terms;             ///< what the method stands for
  TeacherSequences teacher_sequences;  ///< method "gold": the gold text stands in for them
  StudentSequences student_sequences;
  Mix mix, mix_end;
  /// Whether some term may see sequences of this writer, "teacher" or "student".
  bool sees(const std::string& writer) const;
  /// Whether kept distributions stand for the teacher in this term; in some term.
  bool uses_kept(const Term& term) const;
  bool uses_kept() const;
  TrainOptions train;
};

/// [evaluate]
struct EvaluateOptions : Decoding {
  int max_length = 128;  ///< tokens, the end included
  int rows = 64;         ///< sequences decoded at a time
  std::vector<std::string> metrics = {"bleu",
                                      "chrf"};  ///< data/metrics.h; of other data: usual_metrics()
  bool risks = true;  ///< likelihood and coverage risk, which need the teacher and sampling
};

struct Recipe {
  std::string name = "run", output;  ///< output: the experiment's folder, default runs/NAME
  std::string preset;                ///< which of the file's presets, if any
  uint64_t seed = 1;
  std::string device = "cpu";
  std::string dtype = "f32";  ///< f32 or bf16: what weights and activations are stored in
  DataOptions data;
  Exactness exact;
  VocabularyOptions tokenizer;
  EvaluateOptions evaluate;
  Stage teacher;
  std::vector<Stage> students;  ///< in the order of their names in `order`, or sorted
  bool has_teacher = false;
};

/// mle, seqkd, ... and "terms": given one by one.
const std::vector<std::string>& method_names();
/// The terms a method name stands for (f-DISTILL, eqs. 1-10), by whose sequences they are on;
/// throws on an unknown one.
///   mle       ce, gold                     seqkd   ce, teacher (beam search unless said otherwise)
///   kd        kl, gold (eq. 1)             kl      kl, teacher (eq. 6)
///   engine    -sum q log p, student        rkl     rkl, student (eq. 7)
///   gjs:B     B KL(p||m), teacher, and (1-B) KL(q||m), student, m = B p + (1-B) q
///   js        gjs:0.5 (eq. 8)              tvd     1/2 tvd, teacher, and 1/2 tvd, student (eq. 10)
///   predistil 0.8 kl + 0.2 ce + 3 hidden, gold: what the students of the others start from
///             (section 2.3; weights as in its published code). States are normalised: those of
///             pre-norm models have no common scale, and the largest would be all of the loss
/// With data.layout classify and masked all are on gold: there is no prefix to be written.
std::vector<Term> method_terms(const std::string& method);

/// "no "X"; there are: A, B; did you mean "A"?"
std::string no_such(const std::string& value, const std::vector<std::string>& names);
/// Whether outputs are labels, numbers or answers to choose from (distill/choices.h), not text that
/// the model writes: layout classify, and tasks (data/tasks.h).
bool has_answers(const DataOptions& data);
/// The metrics where a recipe names none: the task's, or of labels, numbers, text.
std::vector<std::string> usual_metrics(const DataOptions& data);
/// The device and the type that a recipe's words stand for.
Device device_of(const Recipe& recipe);
Dtype dtype_of(const Recipe& recipe);
/// Throws on the first value out of its range, with the place it stands at in `file`.
void check_recipe(const TomlFile& file, const Recipe& recipe);

/// Reads and checks a recipe: the file, over it the table [presets.NAME] where `preset = "NAME"`,
/// over both the overrides. Every error is one line with file and line. Without a path, of the
/// overrides alone. `places` tells of each key that was given where it stood; keys that a table
/// takes over from another too.
Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides,
                   std::map<std::string, std::string>* places = nullptr);
/// All of it as a table that load_recipe would read back.
Json recipe_table(const Recipe& recipe);
Json stage_table(const Stage& stage);
/// How sequences are decoded, without what the method does not use.
Json decoding_table(const Decoding& decoding);
/// What a stage's method stands for.
Json terms_table(const std::vector<Term>& terms);
Json data_table(const DataOptions& options);
/// What of it decides a training.
Json training_data_table(const DataOptions& options);
Json evaluate_table(const EvaluateOptions& options);

}  // namespace retort
