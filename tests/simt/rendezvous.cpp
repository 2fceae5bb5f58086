// Where threads of the test device meet: block barriers, warp operations, the end of a thread; and
// the rules they can break. Compiled without -fsanitize, like simt.cpp.
#include <algorithm>
#include <bit>
#include <cstring>

#include "worker.h"

namespace simt {

bool same_place(const Site& a, const Site& b) {
  if (!std::memcmp(&a, &b, sizeof a)) return true;  // mostly
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || !std::strcmp(a.file_name(), b.file_name()));
}

namespace {

const char* name_of(WarpOp op) {
  constexpr const char* names[] = {"__syncwarp",        "__ballot_sync",     "__any_sync",
                                   "__all_sync",        "__shfl_sync",       "__shfl_up_sync",
                                   "__shfl_down_sync",  "__shfl_xor_sync",   "__reduce_add_sync",
                                   "__reduce_min_sync", "__reduce_max_sync", "__match_any_sync"};
  return names[int(op)];
}

const char* name_of_wait(const Thread& t) {
  if (t.state == State::at_barrier) return "__syncthreads";
  return t.state == State::asleep ? "__nanosleep" : name_of(t.op);
}

// Calls f(lane) for every lane of the set.
template <class F>
void each_lane(unsigned lanes, F f) {
  for (; lanes; lanes &= lanes - 1) f(unsigned(std::countr_zero(lanes)));
}

// Gives each lane the vote or sum over all.
void vote(Thread* lanes, unsigned present) {
  WarpOp op = lanes[std::countr_zero(present)].op;
  uint64_t all = op == WarpOp::min ? ~uint64_t(0) : 0;
  each_lane(present, [&](unsigned i) {
    uint64_t v = lanes[i].value;
    switch (op) {
      case WarpOp::ballot:
      case WarpOp::any:
      case WarpOp::all:
        all |= v << i;
        break;
      case WarpOp::add:
        all += v;
        break;
      case WarpOp::min:
        all = std::min(all, v);
        break;
      case WarpOp::max:
        all = std::max(all, v);
        break;
      default:
        break;
    }
  });
  if (op == WarpOp::any) all = all != 0;
  if (op == WarpOp::all) all = all == present;
  each_lane(present, [&](unsigned i) {
    Thread& t = lanes[i];
    t.result = all;
    if (op == WarpOp::match)
      each_lane(present, [&](unsigned j) { t.result |= uint64_t(lanes[j].value == t.value) << j; });
  });
}

// The lane a shuffle reads from.
unsigned source_lane(const Thread& t, unsigned lane) {
  int width = t.width, self = int(lane), first = self & ~(width - 1), from = self;
  switch (t.op) {
    case WarpOp::index:
      return unsigned(first | (t.argument & (width - 1)));
    case WarpOp::up:
      from = self - t.argument;
      break;
    case WarpOp::down:
      from = self + t.argument;
      break;
    default:
      from = self ^ t.argument;
      break;
  }
  return unsigned(from < first || from >= first + width ? self : from);
}

}  // namespace

// ---- warps

void Worker::shuffle(Thread* lanes, unsigned present, unsigned mask) {
  each_lane(present, [&](unsigned i) {
    Thread& t = lanes[i];
    unsigned from = source_lane(t, i);
    if (!(present >> from & 1))
      fail(t.site, "%s with mask 0x%08x by lane %u reads lane %u, which %s", name_of(t.op), mask, i,
           from, mask >> from & 1 ? "has exited" : "is not in the mask");
    t.result = lanes[from].value;
  });
}

void Worker::resolve(Block& block, unsigned warp_number, unsigned mask, const Thread* self) {
  Warp& warp = block.warps[warp_number];
  Thread* lanes = &block.threads[warp_number * 32];
  unsigned present = mask & warp.live;
  Thread& first = lanes[std::countr_zero(present)];
  each_lane(present, [&](unsigned i) {
    const Thread& t = lanes[i];
    if (t.op == first.op && t.mask == first.mask && same_place(t.site, first.site)) return;
    fail(t.site, "%s with mask 0x%08x meets %s with mask 0x%08x at %s:%u", name_of(t.op), t.mask,
         name_of(first.op), first.mask, first.site.file_name(), unsigned(first.site.line()));
  });

  if (first.op >= WarpOp::index && first.op <= WarpOp::exclusive_or)
    shuffle(lanes, present, mask);
  else if (first.op != WarpOp::sync)
    vote(lanes, present);

  if (tsan && first.op == WarpOp::sync) {  // the only warp operation that orders memory
    each_lane(present, [&](unsigned i) { acquire(&lanes[i].sync); });
    each_lane(present, [&](unsigned i) { release(&lanes[i].sync); });
  }
  warp.arrived &= ~mask;
  Thread* freed[32];
  int count = 0;
  each_lane(present, [&](unsigned i) {
    if (&lanes[i] != self) freed[count++] = &lanes[i];
  });
  set_ready(freed, count);
}

uint64_t Worker::meet(WarpOp op, unsigned mask, uint64_t value, int argument, int width,
                      const Site& site) {
  Thread& self = *current;
  unsigned lane = self.number % 32;
  Warp& warp = self.block->warps[self.number / 32];
  if (!(mask >> lane & 1))
    fail(site, "%s by lane %u with mask 0x%08x, which lacks it", name_of(op), lane, mask);
  self.op = op;
  self.mask = mask;
  self.value = value;
  self.argument = argument;
  self.width = width;
  self.site = site;
  self.state = State::at_warp;
  warp.arrived |= 1u << lane;
  if (op == WarpOp::sync) release(&self.sync);
  if ((warp.arrived & mask) == (mask & warp.live)) {
    resolve(*self.block, self.number / 32, mask, &self);
    self.state = State::ready;
    if (seed) {  // else the last to arrive just goes on
      ready.push_back(&self);
      go(pick());
    }
  } else {
    go(pick());
  }
  if (op == WarpOp::sync) acquire(&self.sync);
  return self.result;
}

// ---- blocks

void Worker::release_barrier(Block& block) {
  const Thread* first = nullptr;
  int votes = 0;
  for (unsigned i = 0; i < block.size; i++) {
    const Thread& t = block.threads[i];
    if (t.state != State::at_barrier) continue;
    if (!first) first = &t;
    votes += t.argument;
    if (!same_place(t.site, first->site))
      fail(t.site, "threads meet in __syncthreads here and in another at %s:%u",
           first->site.file_name(), unsigned(first->site.line()));
  }
  if (block.exited)
    fail(first->site, "__syncthreads after %u of %u threads of the block have exited", block.exited,
         block.size);
  Thread* freed[1024];
  int count = 0;
  for (unsigned i = 0; i < block.size; i++) {
    Thread& t = block.threads[i];
    t.result = t.vote == Vote::any   ? votes > 0
               : t.vote == Vote::all ? unsigned(votes) == block.size
                                     : unsigned(votes);
    freed[count++] = &t;
  }
  block.at_barrier = 0;
  block.barriers++;
  set_ready(freed, count);
}

int Worker::barrier(Vote vote, bool predicate, const Site& site) {
  Thread& self = *current;
  Block& block = *self.block;
  self.vote = vote;
  self.argument = predicate;
  self.site = site;
  self.state = State::at_barrier;
  void* sync = &block.barrier_sync[block.barriers % 2];
  release(sync);
  if (++block.at_barrier == block.live) release_barrier(block);
  go(pick());
  acquire(sync);
  return int(self.result);
}

void Worker::finish() {
  Thread& self = *current;
  Block& block = *self.block;
  Warp& warp = block.warps[self.number / 32];
  self.state = State::done;
  live--;
  block.live--;
  block.exited++;
  warp.live &= ~(1u << self.number % 32);
  idle_rounds = 0;
  while (warp.arrived) {  // its exit may have been what they waited for
    unsigned mask =
        block.threads[self.number / 32 * 32 + unsigned(std::countr_zero(warp.arrived))].mask;
    if ((warp.arrived & mask) != (mask & warp.live)) break;
    resolve(block, self.number / 32, mask, nullptr);
  }
  if (block.live && block.at_barrier == block.live) release_barrier(block);
}

void Worker::deadlock() {
  struct Group {
    const Thread* first;
    int count;
  } groups[4];
  int found = 0;
  for (size_t slot = first_live; slot < last_live; slot++) {
    Block& block = *blocks[slot];
    for (unsigned i = 0; i < block.size; i++) {
      const Thread& t = block.threads[i];
      if (t.state < State::at_barrier || t.state == State::done) continue;
      int g = 0;
      while (g < found &&
             (groups[g].first->state != t.state || !same_place(groups[g].first->site, t.site)))
        g++;
      if (g == 4) continue;
      if (g == found) groups[found++] = {&t, 0};
      groups[g].count++;
    }
  }
  char text[500] = "";
  for (int i = 0, at = 0; i < found && at < 400; i++) {
    const Thread& t = *groups[i].first;
    at += std::snprintf(text + at, sizeof text - size_t(at), "%s%d threads wait in %s",
                        i ? ", " : "", groups[i].count, name_of_wait(t));
    if (i)
      at += std::snprintf(text + at, sizeof text - size_t(at), " at %s:%u", t.site.file_name(),
                          unsigned(t.site.line()));
  }
  current = const_cast<Thread*>(groups[0].first);
  fail(current->site, "deadlock: %s", text);
}

int block_barrier(Vote vote, bool predicate, const Site& site) {
  return Worker::mine().barrier(vote, predicate, site);
}
uint64_t warp_meet(WarpOp op, unsigned mask, uint64_t value, int argument, int width,
                   const Site& site) {
  return Worker::mine().meet(op, mask, value, argument, width, site);
}

}  // namespace simt
