// Shifts are found greedily: the one that saves most edits, until none saves any. Which shifts are
// tried, and in what order ties are broken, follows sacreBLEU's lib_ter (Tercom's heuristics), for
// the score depends on it.
#include "data/ter.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "data/lowercase.h"
#include "data/ngrams.h"
#include "data/text.h"

namespace retort {
namespace {

constexpr int max_shift_size = 10, max_shift_distance = 50, max_candidates = 1000;

// Levenshtein's table of hypothesis prefixes (rows) against reference prefixes, within a beam about
// the diagonal. The rows of words that stand as they did in the call before are kept.
class EditDistance {
 public:
  explicit EditDistance(const std::u32string& reference) : reference_(reference) {}

  int operator()(const std::u32string& hypothesis) {
    int rows = hypothesis.size(), columns = reference_.size(), same = 0;
    if (hypothesis.size() == hypothesis_.size() && !table_.empty())
      while (same < rows && hypothesis[same] == hypothesis_[same]) same++;
    hypothesis_ = hypothesis;
    table_.resize(rows + 1);
    if (same == 0) {
      table_[0].clear();
      for (int j = 0; j <= columns; j++) table_[0].push_back({j, Edit::insert});
    }
    double ratio = rows ? double(columns) / rows : 1;
    int beam = ratio / 2 > 25 ? std::ceil(ratio / 2 + 25) : 25;
    for (int i = same + 1; i <= rows; i++) {
      int diagonal = std::floor(i * ratio);
      int end = i == rows ? columns + 1 : std::min(columns + 1, diagonal + beam);
      table_[i].assign(columns + 1, Cell{});
      for (int j = std::max(0, diagonal - beam); j < end; j++) {
        Cell& cell = table_[i][j];
        auto offer = [&](const Cell& from, int cost, Edit edit) {
          if (cell.cost > from.cost + cost) cell = {from.cost + cost, edit};
        };
        if (j > 0) {
          bool equal = hypothesis[i - 1] == reference_[j - 1];
          offer(table_[i - 1][j - 1], !equal, equal ? Edit::keep : Edit::substitute);
        }
        offer(table_[i - 1][j], 1, Edit::remove);
        if (j > 0) offer(table_[i][j - 1], 1, Edit::insert);
      }
    }
    return table_[rows][columns].cost;
  }

  // How the words of the last call's hypothesis lie against the reference's.
  struct Alignment {
    std::vector<int> to_hypothesis;  // by reference position; -1: before the first word
    std::vector<bool> hypothesis_errs, reference_errs;
  };
  Alignment alignment() const {
    int i = hypothesis_.size(), j = reference_.size();
    Alignment a{std::vector<int>(j), std::vector<bool>(i), std::vector<bool>(j)};
    while (i > 0 || j > 0) {
      Edit edit = table_[i][j].edit;
      bool wrong = edit != Edit::keep;
      if (edit != Edit::remove) a.to_hypothesis[j - 1] = i - 1, a.reference_errs[j - 1] = wrong;
      if (edit != Edit::insert) a.hypothesis_errs[i - 1] = wrong;
      i -= edit != Edit::insert;
      j -= edit != Edit::remove;
    }
    return a;
  }

 private:
  enum class Edit { keep, substitute, insert, remove };
  struct Cell {
    int cost = 1 << 30;
    Edit edit = Edit::keep;
  };
  const std::u32string& reference_;
  std::u32string hypothesis_;
  std::vector<std::vector<Cell>> table_;
};

// The words with `length` of them from `start` taken out and put in before position `target`.
std::u32string shifted(std::u32string words, int start, int length, int target) {
  std::u32string block = words.substr(start, length);
  words.erase(start, length);
  size_t at = target > start + length ? target - length : target;
  return words.insert(std::min(at, words.size()), block);
}

// The words after the shift that saves most edits, and how many; counts the candidates tried.
std::pair<int, std::u32string> best_shift(const std::u32string& hypothesis,
                                          const std::u32string& reference, EditDistance& distance,
                                          int& candidates) {
  int before = distance(hypothesis), h_size = hypothesis.size(), r_size = reference.size();
  EditDistance::Alignment a = distance.alignment();
  auto all_right = [](const std::vector<bool>& errs, int start, int length) {
    return std::find(errs.begin() + start, errs.begin() + start + length, true) ==
           errs.begin() + start + length;
  };
  // Most edits saved, then the longest block, the earliest, the earliest target.
  std::tuple<int, int, int, int> best{};
  std::u32string words;
  auto try_block = [&](int h, int r, int length) {
    if (all_right(a.hypothesis_errs, h, length) || all_right(a.reference_errs, r, length)) return;
    if (h <= a.to_hypothesis[r] && a.to_hypothesis[r] < h + length) return;
    int previous = -1;
    for (int at = r - 1; at < r + length; at++) {
      int target = at < 0 ? 0 : a.to_hypothesis[at] + 1;
      if (target == previous) continue;
      previous = target;
      std::u32string moved = shifted(hypothesis, h, length, target);
      std::tuple candidate{before - distance(moved), length, -h, -target};
      candidates++;
      if (words.empty() || candidate > best) best = candidate, words = moved;
    }
  };
  for (int h = 0; h < h_size; h++)
    for (int r = std::max(0, h - max_shift_distance);
         r < std::min(r_size, h + max_shift_distance + 1); r++)
      for (int n = 0; n < max_shift_size && h + n < h_size && r + n < r_size; n++) {
        if (hypothesis[h + n] != reference[r + n]) break;
        try_block(h, r, n + 1);
        if (candidates >= max_candidates) return {std::get<0>(best), words};
      }
  return {std::get<0>(best), words};
}

int edits(std::u32string hypothesis, const std::u32string& reference) {
  if (reference.empty()) return hypothesis.size();
  EditDistance distance(reference);
  int shifts = 0, candidates = 0;
  while (true) {
    auto [saved, words] = best_shift(hypothesis, reference, distance, candidates);
    if (candidates >= max_candidates || saved <= 0) break;
    shifts++;
    hypothesis = words;
  }
  return shifts + distance(hypothesis);
}

}  // namespace

double ter_score(const std::vector<double>& sums) {
  double edits = sums[0], words = sums[1];
  return words > 0 ? 100 * edits / words : edits > 0 ? 100 : 0;
}

Measurement measure_ter(const Segments& hypotheses, const std::vector<Segments>& references) {
  check_segments("ter", hypotheses, references);
  std::unordered_map<std::u32string, char32_t> table;
  auto words = [&](const std::string& segment) {
    std::vector<std::u32string> lower;
    for (std::string_view word : words_of(segment)) lower.push_back(lowercase(word));
    return numbered(lower, table);
  };
  Measurement m{
      {}, ter_score, signature_of(references, "case:lc|tok:tercom|norm:no|punct:yes|asian:no")};
  for (size_t i = 0; i < hypotheses.size(); i++) {
    std::u32string hypothesis = words(hypotheses[i]);
    double fewest = INFINITY, length = 0;
    Segments present = references_of(references, i);
    for (auto& text : present) {
      std::u32string reference = words(text);
      fewest = std::min<double>(fewest, edits(hypothesis, reference));
      length += reference.size();
    }
    m.segments.push_back({fewest, length / present.size()});
  }
  return m;
}

}  // namespace retort
