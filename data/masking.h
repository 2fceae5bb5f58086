// Masked language modelling (Devlin et al. 2019, section 3.1, task 1): which tokens of a block of
// text are to be predicted, and what stands in their places.
#pragma once
#include "data/batch.h"

namespace retort {

/// Chooses 15 % of the tokens of each row (rounded, at least one; bos and eos never): of them 80 %
/// become mask, 10 % another token drawn at random, 10 % stay. Fills labels [N] with what stood
/// there and positions [N]. The choice is a function of (seed, epoch, TokenPair::id, position)
/// alone.
void mask_tokens(Batch& batch, const Specials& specials, uint64_t seed, int epoch);

/// Running text as pairs for Layout::masked: the texts, each ended by eos, in one stream, cut into
/// blocks of `length` tokens; an eos at either end of a block is left to its frame.
std::vector<TokenPair> cut_masked(const std::vector<TokenPair>& texts, int eos, int length);

}  // namespace retort
