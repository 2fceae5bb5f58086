#include "distill/trainer.h"

#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "data/tasks.h"
#include "data/text.h"
#include "distill/hidden.h"
#include "distill/metrics_log.h"
#include "distill/progress.h"
#include "distill/scores.h"
#include "distill/sequences.h"
#include "engine/checkpoint.h"
#include "engine/memory.h"
#include "engine/profile.h"
#include "engine/safetensors.h"
#include "kernels/graph.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

Schedule schedule_of(const TrainOptions& t, long total) {
  return {t.schedule, t.learning_rate, t.floor, t.warmup, total};
}

BatchOptions batch_options(const Experiment& e, const TrainOptions& t) {
  return {e.layout(), t.tokens, t.rows, e.recipe().seed, true};
}

// Where a run stands: all that resuming needs beside weights and moments.
struct Position {
  long step = 0;
  int epoch = 0, index = 0;
  double tokens = 0, seconds = 0, peak_bytes = 0;
};

// A count that a checkpoint's metadata holds, from 0 to `most`.
long count_in(const std::map<std::string, std::string>& metadata, const char* key, long most,
              const std::string& path) {
  auto found = metadata.find(key);
  long n = -1;
  if (found != metadata.end()) {
    const std::string& s = found->second;
    auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
    if (error != std::errc() || end != s.data() + s.size()) n = -1;
  }
  if (n < 0 || n > most)
    throw std::runtime_error(path + ": its " + key + " is missing or not from 0 to " +
                             std::to_string(most) +
                             "; the file is damaged, --overwrite starts anew");
  return n;
}

// The first parameter with a number that is not finite in `of`, its value or its gradient; or "".
std::string first_broken(const Parameters& parameters, Tensor (*of)(const Tensor&)) {
  for (const Parameter& p : parameters.list())
    for (double x : of(p.value).values())
      if (!std::isfinite(x)) return p.name;
  return "";
}

// What is not finite, and what to do.
[[noreturn]] void not_finite(double loss, const Parameters& parameters) {
  std::string weight = first_broken(parameters, [](const Tensor&x) { return x.detach(); }),
              gradient = first_broken(parameters, grad);
  std::string what = std::isfinite(loss) ? "the gradient of " + gradient + " is not finite"
                     : weight.empty()
                         ? fmt::format("the loss is {}, all weights are finite", loss)
                         : fmt::format("the loss is {}: {} is not finite", loss, weight);
  throw std::runtime_error(what + "; try a lower train.learning_rate or train.clip");
}

void save_failed_batch(const std::string& path, long step, const std::vector<Batch>& batches,
                       const Tokenizer& tokenizer, const std::vector<TokenPair>& pairs) {
  Json j = {{"step", step}, {"examples", Json::array()}};
  for (const Batch& b : batches)
    for (int id : b.ids) {
      const TokenPair& p = pairs[size_t(id)];
      j["examples"].push_back({{"example", id},
                               {"source", tokenizer.decode(p.source)},
                               {"target", tokenizer.decode(p.target)},
                               {"source_ids", p.source},
                               {"target_ids", p.target}});
    }
  write_file_atomically(path, j.dump(1) + "\n");
}

}  // namespace

long total_steps(Experiment& experiment, const Stage& stage) {
  const TrainOptions& t = stage.train;
  if (t.steps > 0) return t.steps;
  Batcher batcher(experiment.pairs("train").pairs, experiment.specials(),
                  batch_options(experiment, t));
  double updates = std::ceil(double(batcher.count(0)) / t.accumulate);
  return std::max(1L, std::lround(t.epochs * updates));
}

TrainSummary train_stage(Experiment& experiment, const Stage& stage, Start start) {
  interrupted();  // from here on a signal is noticed, not deadly
  reset_peak_memory(experiment.device());
  std::string dir = experiment.folder(stage.name), checkpoint = checkpoint_path(dir);
  fs::create_directories(dir);
  const std::vector<TokenPair>& pairs = experiment.pairs("train").pairs;
  const TrainOptions& t = stage.train;
  bool exists = fs::exists(checkpoint);
  if (exists && start == Start::fresh)
    throw std::runtime_error(
        checkpoint + " is there already: --resume goes on from it, --overwrite starts anew");

  if (!exists && start != Start::overwrite)
    for (const std::string& done : {weights_path(dir), dir + "/results.json"})
      if (fs::exists(done))
        throw std::runtime_error(done + " is there already, but no checkpoint to go on from; " +
                                 "--overwrite starts anew, output=FOLDER keeps it");

  for (const char* split : {"valid", "test", "second_test"})  // before anything is removed
    if (experiment.has(split)) experiment.corpus(split);
  std::unique_ptr<Model> teacher;
  auto load = [&]() -> const Model& {
    if (!teacher) teacher = std::make_unique<Model>(experiment.load("teacher"));
    return *teacher;
  };
  const TeacherSequences& theirs = stage.teacher_sequences;
  bool offline = stage.sees("teacher") && theirs.offline && theirs.method != "gold",
       runs = stage.sees("teacher") && !offline;  // whether updates need the teacher
  for (const Term& term : stage.terms) runs |= term.loss != "ce" && !stage.uses_kept(term);
  std::vector<std::vector<int>> sequences;
  std::unique_ptr<TeacherRows> kept;
  if (offline) sequences = teacher_sequences(experiment, theirs, load);
  if (stage.uses_kept()) kept = std::make_unique<TeacherRows>(experiment, theirs, sequences, load);
  runs ? void(load()) : teacher.reset();
  Model model = experiment.build(stage);
  Parameters& parameters = model.parameters();
  auto optimizer = make_optimizer(t.optimizer, parameters);
  std::vector<int> answers;
  const Task* task = find_task(experiment.recipe().data.format);
  if (task && fixed_answers(*task)) answers = answer_tokens(*task, experiment.tokenizer());
  Objective objective(stage, experiment.layout(), experiment.specials(), experiment.recipe().seed,
                      teacher.get(), experiment.recipe().data.max_target, std::move(sequences),
                      kept.get(), std::move(answers));
  Batcher batcher(pairs, experiment.specials(), batch_options(experiment, t));
  long total = total_steps(experiment, stage);
  Schedule schedule = schedule_of(t, total);
  std::string fingerprint = checksum_of(experiment.fingerprint(stage));

  Position at;
  if (exists && start == Start::resume) {
    auto or_anew = [](auto load) {
      try {
        return load();
      } catch (const std::exception& e) {
        throw std::runtime_error(std::string(e.what()) + "; --overwrite starts anew");
      }
    };
    // Before its numbers are taken, which may not even fit.
    std::map<std::string, std::string> m =
        or_anew([&] { return load_safetensors(checkpoint).metadata; });
    if (m.count("fingerprint") && m["fingerprint"] != fingerprint)
      throw std::runtime_error(
          checkpoint +
          ": was made by another recipe, device, dtype, data, vocabulary or teacher; " +
          "--overwrite starts anew, output=FOLDER keeps both");
    m = or_anew([&] { return load_checkpoint(checkpoint, parameters, *optimizer); });
    at.step = count_in(m, "step", total, checkpoint);
    at.epoch = int(count_in(m, "epoch", total * t.accumulate, checkpoint));
    at.index = int(count_in(m, "index", batcher.count(at.epoch), checkpoint));
    if (optimizer->steps != at.step)
      throw std::runtime_error(checkpoint + ": step and optimizer_steps differ; the file is " +
                               "damaged, --overwrite starts anew");
    if (m.count("kept")) try {
        objective.restore(m["kept"], pairs.size(), model.config().vocab);
      } catch (const std::exception& e) {
        throw std::runtime_error(checkpoint + ": " + e.what());
      }
    std::string timing_path = dir + "/timing.json";  // figures only: a damaged one counts as none
    Json timing =
        fs::exists(timing_path) ? Json::parse(read_file(timing_path), nullptr, false) : Json();
    for (auto [key, to] : {std::pair{"tokens", &at.tokens},
                           {"seconds", &at.seconds},
                           {"peak_bytes", &at.peak_bytes}})
      if (timing.is_object() && timing.contains(key) && timing[key].is_number())
        *to = timing[key].get<double>();
  } else {
    if (stage.name == "teacher") remove_teacher_sequences(experiment);
    for (const std::string& old : {checkpoint, weights_path(dir), dir + "/results.json",
                                   dir + "/timing.json", events_path(dir)})
      fs::remove(old);
    experiment.write_manifest(stage);
  }
  double before = at.seconds;
  MetricsLog log(dir + "/metrics.jsonl", at.step, t.tensorboard ? events_path(dir) : "");
  auto save = [&] {
    at.peak_bytes = std::max(at.peak_bytes, double(memory_stats(model.device()).peak));
    save_checkpoint(checkpoint, parameters, *optimizer,
                    {{"step", std::to_string(at.step)},
                     {"kept", objective.kept()},
                     {"epoch", std::to_string(at.epoch)},
                     {"index", std::to_string(at.index)},
                     {"fingerprint", fingerprint},
                     {"config", model.config().to_json()},
                     {"tokenizer", experiment.tokenizer().hash()},
                     {"recipe", to_toml(recipe_table(experiment.recipe()))}});
    Json timing = {{"tokens", at.tokens}, {"seconds", at.seconds}, {"peak_bytes", at.peak_bytes}};
    write_file_atomically(dir + "/timing.json", timing.dump() + "\n");
  };

  Graph graph(model.device());
  Progress progress(stage.name, total, at.step, t.log_every);
  Profile::mark("data");
  while (at.step < total) {
    auto began = Clock::now();
    std::vector<Batch> batches;
    while (int(batches.size()) < t.accumulate) {
      if (at.index >= batcher.count(at.epoch)) {
        at.epoch++, at.index = 0;
        if (!batches.empty()) break;  // an update does not reach over the end of an epoch
      }
      batches.push_back(batcher.batch(at.epoch, at.index++));
    }
    Profile::mark("batches");
    double rate = learning_rate(schedule, at.step);
    Update r;
    double loss = 0, norm = 0;
    try {
      r = objective.prepare(model, batches, pairs, at.step,
                            double(at.step) / double(std::max(1L, total - 1)));
      Tensor gradient;
      auto update = [&] {
        parameters.zero_grads();
        Profile::mark("zero gradients");
        objective.accumulate(model, r);
        gradient = clip_grad_norm(parameters, t.clip);
        Profile::mark("clip");
        optimizer->step(rate, gradient + scale(r.loss(), 0));  // NaN where the loss is not finite
        Profile::mark("optimizer");
      };
      t.graph && !Profile::on() ? graph.run(update) : update();  // a profile waits
      // All is asked for; here the host waits for the device.
      std::vector<double> both = concat({r.loss(), gradient}, 0).values();
      loss = both[0], norm = both[1];
      if (!std::isfinite(loss))  // once more, to say why
        objective.accumulate(model, r, true);
      if (!std::isfinite(loss) || !std::isfinite(norm)) not_finite(loss, parameters);
    } catch (const std::exception& e) {
      progress.finish();
      std::string failed = dir + "/failed-batch.json";
      save_failed_batch(failed, at.step, batches, experiment.tokenizer(), pairs);
      throw std::runtime_error(fmt::format(
          "{}: step {}: {}; its batch is in {}, {}", stage.name, at.step + 1, e.what(), failed,
          fs::exists(checkpoint) ? "the last good checkpoint is kept"
                                 : "no checkpoint was written yet"));
    }
    at.step++;
    double seconds = seconds_since(began);
    at.tokens += double(r.tokens), at.seconds += seconds;
    Json line = {{"step", at.step},       {"epoch", at.epoch}, {"loss", loss},
                 {"learning_rate", rate}, {"grad_norm", norm}, {"tokens", r.tokens},
                 {"seconds", seconds}};
    if (!r.solved.empty() && t.log_every && at.step % t.log_every == 0) {
      SinkhornReport worst;
      for (const Sinkhorn& s : r.solved) {
        SinkhornReport one = report(s);
        worst.row_error = std::max(worst.row_error, one.row_error);
        worst.column_error = std::max(worst.column_error, one.column_error);
        worst.gap = std::max(worst.gap, one.gap);
        worst.iterations = std::max(worst.iterations, one.iterations);
      }
      line["transport"] = {{"row_error", worst.row_error},
                           {"column_error", worst.column_error},
                           {"gap", worst.gap},
                           {"iterations", worst.iterations}};
    }
    if (r.sampled) line["sampled_tokens"] = r.sampled, line["sample_seconds"] = r.sample_seconds;
    if (t.valid_every && (at.step % t.valid_every == 0 || at.step == total) &&
        experiment.has("valid")) {
      auto valid_began = Clock::now();
      GoldScore v = score_gold(experiment, model, "valid");
      line["valid_loss"] = v.loss, line["valid_accuracy"] = v.accuracy;
      line["valid_seconds"] = seconds_since(valid_began);
      progress.finish();
      fmt::print("{} {}/{}  valid loss {:.4f}  accuracy {:.2f} %\n", stage.name, at.step, total,
                 v.loss, 100 * v.accuracy);
    }
    log.write(line);
    progress.update(
        at.step, fmt::format("loss {:.4f}  {} tokens/s", loss, thousands(at.tokens / at.seconds)));
    bool stop = interrupted();
    if (stop || at.step == total || (t.save_every && at.step % t.save_every == 0)) save();
    if (stop && at.step < total) {
      progress.finish();
      throw Interrupted{
          fmt::format("stopped after step {} of {}; {} holds it. The same command, without "
                      "--overwrite, goes on from "
                      "there (train and distill: with --resume)",
                      at.step, total, checkpoint)};
    }
  }
  progress.finish();
  std::map<std::string, Tensor> weights;
  for (const auto& [name, value] : parameters.values())
    if (!is_projection(name)) weights[name] = value;
  save_safetensors(weights_path(dir), weights,
                   {{"format", "retort-model"},
                    {"config", model.config().to_json()},
                    {"tokenizer", experiment.tokenizer().hash()},
                    {"stage", stage.name}});
  return {at.step, at.seconds > 0 ? at.tokens / at.seconds : 0, at.seconds / 60,
          (at.seconds - before) / 60, at.peak_bytes};
}

}  // namespace retort
