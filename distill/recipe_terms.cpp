// What a recipe may say of an objective's terms and of what is kept for them.
#include "data/tasks.h"
#include "distill/checks.h"
#include "losses/divergence.h"
#include "losses/names.h"
#include "losses/transport.h"

namespace retort {
namespace {

// Only answers that are the same in every example are a vocabulary.
void check_vocabulary(const Table& t, const Term& term, const DataOptions& data) {
  t.one_of("vocabulary", term.vocabulary, {"all", "answers"});
  if (term.vocabulary == "all") return;
  auto refuse = [&](const std::string& why) { t.refuse("vocabulary", "\"answers\": " + why); };
  const Task* task = find_task(data.format);
  if (data.layout != "seq2seq" && data.layout != "causal")
    refuse("is for data.layout seq2seq and causal, " + data.layout + " writes no answers");
  if (!task)
    refuse("is for tasks of glue: and superglue:, format " + data.format + " is free text");
  if (!fixed_answers(*task)) refuse("every example of " + data.format + " has answers of its own");
  if (term.loss == "hidden") refuse("hidden states have no vocabulary");
  if (term.loss == "ce" && term.on != "gold")
    refuse("cross-entropy takes it on gold; sequences that a model writes may hold other tokens");
  if (term.mixture != "arithmetic" || term.score_term != "none")
    refuse("the probability of a sequence (mixture, score_term) is over all tokens");
}

}  // namespace

void check_term(const Table& t, const Term& term, const DataOptions& data) {
  t.one_of("on", term.on, {"gold", "teacher", "student", "mixed"});
  bool transports = is_transport(term.loss);
  try {
    check_loss_name(term.loss, term_losses());
    if (transports) parse_transport(term.loss, term.parameters);
    if (!transports && term.loss != "ce" && term.loss != "mse" && term.loss != "hidden")
      parse_divergence(term.loss);
  } catch (const std::exception& e) {
    t.refuse("loss", e.what());
  }
  if (!transports && !term.parameters.empty())
    t.refuse("parameters", "are for transport losses: sinkhorn:unit and so on");
  if (term.loss == "ce" && term.on == "student")
    t.refuse("loss",
             "cross-entropy on the student's own samples makes it collapse; use gold or teacher "
             "sequences");
  if (term.temperature != 1 || term.temperature_end != 0) {
    const char* key = term.temperature != 1 ? "temperature" : "temperature_end";
    if (term.loss == "ce") t.refuse(key, "cross-entropy on labels takes none");
    if (term.loss == "hidden") t.refuse(key, "hidden states have none");
  }
  if (term.loss != "hidden" && (!term.layers.empty() || term.normalize))
    t.refuse(term.normalize ? "normalize" : "layers", "is for loss = \"hidden\"");
  t.one_of("mixture", term.mixture, {"arithmetic", "exact", "exact_detached"});
  t.one_of("score_term", term.score_term, {"none", "mc", "rb"});
  bool mixes = term.loss.rfind("skew_", 0) == 0, exact = term.mixture != "arithmetic",
       scores = term.score_term != "none";
  if (exact && !mixes) t.refuse("mixture", term.loss + " mixes nothing; skew_kl and skew_rkl do");
  if (scores && (term.on != "student" ||
                 !(term.loss == "rkl" || (exact && term.loss.rfind("skew_rkl", 0) == 0))))
    t.refuse("score_term",
             "is for rkl, and for skew_rkl with the exact mixture (js, gjs), on student samples");
  if ((exact || scores) && (term.temperature != 1 || term.temperature_end != 0))
    t.refuse("temperature", "must be 1 where sequences have probabilities (mixture, score_term)");
  if (data.layout == "classify" && moves_tokens(term))
    t.refuse("parameters", "cost=matrix is of tokens' embeddings, classes have none");
  check_vocabulary(t, term, data);
  if (term.loss == "mse" && data.layout != "classify")
    t.refuse("loss",
             "mse matches the logits of classes and numbers, data.layout classify; kl does " +
                 data.layout);
  if (data.layout == "classify" && data.labels == "numbers" && term.loss != "ce" &&
      term.loss != "mse")
    t.refuse("loss", "a regression has no distributions for " + term.loss +
                         " to compare; its losses are ce, the squared error to the labels, and "
                         "mse, to the teacher's outputs");
  t.at_least("weight", term.weight, 0, true);
  t.at_least("temperature", term.temperature, 0, true);
  t.at_least("temperature_end", term.temperature_end, 0);
}

bool moves_tokens(const Term& term) {
  return is_transport(term.loss) &&
         parse_transport(term.loss, term.parameters).cost == ClassCost::matrix;
}

void check_kept(const Table& t, const Stage& s, const VocabularyOptions& vocabulary) {
  const TeacherSequences& o = s.teacher_sequences;
  t.one_of("keep", o.keep, {"text", "top_k", "full"});
  t.at_least("keep_k", o.keep_k, 1);
  if (o.keep == "text") return;
  bool coarse = o.keep == "top_k";
  if (coarse && vocabulary.model.empty() && o.keep_k >= vocabulary.size)
    t.refuse("keep_k", fmt::format("{} tokens, the vocabulary has {} (tokenizer.size); keep fewer, "
                                   "or all with keep = \"full\"",
                                   o.keep_k, vocabulary.size));
  if (o.method == "gold")
    t.refuse("keep",
             "is for sequences that the teacher writes, method = \"gold\" takes the text's");
  if (!o.offline)
    t.refuse("keep", "what is drawn for every update is not kept; needs offline = true");
  for (const Term& term : s.terms) {
    if (term.on == "mixed" && s.mix.teacher + s.mix_end.teacher > 0)
      t.refuse("keep",
               "serves terms on teacher sequences; on mixed ones the teacher is run: use "
               "keep = \"text\"");
    if (!s.uses_kept(term)) continue;
    if (term.loss == "hidden")
      t.refuse("keep",
               "holds distributions, no hidden states; these need the teacher to be run: "
               "use keep = \"text\"");
    if (coarse && term.mixture != "arithmetic")
      t.refuse("keep", "the exact mixture needs the probability of every token: use \"full\"");
    if (coarse && term.vocabulary != "all")
      t.refuse("keep", "top_k keeps tokens of its own choice, not the answers': use \"full\"");
    if (moves_tokens(term))
      t.refuse("keep", "holds distributions, no embeddings, which cost=matrix needs: use \"text\"");
    if (coarse && is_transport(term.loss))
      t.refuse("keep", "rows of keep_k tokens each have their own, " + term.loss +
                           " compares rows: use \"full\"");
    if (coarse && (term.temperature != 1 || term.temperature_end != 0))
      t.refuse("keep",
               "of all tokens but keep_k only the sum is there, which has no temperature: "
               "use \"full\", or temperature = 1");
  }
}

}  // namespace retort
