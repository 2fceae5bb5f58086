// Device memory of the test device, and the handler that explains faults in it.
#include "device_memory.h"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fiber.h"
#include "simt.h"

namespace simt {

namespace {

constexpr size_t alignment = 256, redzone = 256, page = 4096, quarantine_limit = 64 << 20;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
size_t span_of(size_t bytes) { return round_up(bytes + redzone, alignment); }

struct sigaction previous;

void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  auto* address = static_cast<const char*>(info->si_addr);
  bool device = DeviceMemory::get().contains(address);
  const char* where = whereabouts();
  if (device)
    DeviceMemory::get().explain_fault(address);
  else if (*where)
    std::fprintf(stderr, "simt: a kernel touched address %p, which is not device memory; %s\n",
                 static_cast<const void*>(address), where);
  if (device && !asan && !tsan) std::abort();
  sigaction(SIGSEGV, &previous, nullptr);  // and faults again
}

// Makes on_fault the handler, on a stack of its own, as a fiber's may have overflowed. Test
// frameworks put theirs in its place, so this is repeated whenever the range closes.
void install_handler() {
  static char stack[64 << 10];
  stack_t alternate{}, present;
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(nullptr, &present);
  if (present.ss_flags & SS_DISABLE) sigaltstack(&alternate, nullptr);
  struct sigaction action {
  }, now;
  sigaction(SIGSEGV, nullptr, &now);
  if (now.sa_sigaction == on_fault) return;
  previous = now;
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace

DeviceMemory& DeviceMemory::get() {
  static DeviceMemory* memory = new DeviceMemory;
  return *memory;
}

DeviceMemory::DeviceMemory() {
  const char* limit = std::getenv("SIMT_MEMORY");
  capacity_ = limit && *limit ? std::strtoull(limit, nullptr, 10) : size_t(8) << 30;
  reserved = round_up(2 * capacity_ + (size_t(1) << 30), page);
  void* range =
      mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) throw std::bad_alloc();
  base = static_cast<char*>(range);

  install_handler();
}

void DeviceMemory::set_protection(int protection) {
  if (frontier) mprotect(base, round_up(frontier, page), protection);
}
void DeviceMemory::open() {
  if (accesses++ == 0) set_protection(PROT_READ | PROT_WRITE);
}
void DeviceMemory::close() {
  if (--accesses) return;
  set_protection(PROT_NONE);
  install_handler();
}

// A range of `span` bytes: the first gap that has them, else past the frontier.
char* DeviceMemory::place(size_t span) {
  for (auto& [start, size] : gaps) {
    if (size < span) continue;
    char* p = start;
    size_t rest = size - span;
    gaps.erase(p);
    if (rest) gaps[p + span] = rest;
    return p;
  }
  if (frontier + span > reserved) return nullptr;
  char* p = base + frontier;
  poison(p, span);
  frontier += span;
  return p;
}

void* DeviceMemory::allocate(size_t bytes) {
  if (!bytes) bytes = 1;
  if (bytes > capacity_ - used_) return nullptr;
  char* p = place(span_of(bytes));
  while (!p && !quarantine.empty()) {
    forget_oldest();
    p = place(span_of(bytes));
  }
  if (!p) return nullptr;
  if (accesses) set_protection(PROT_READ | PROT_WRITE);  // the frontier may have moved
  Access access;
  unpoison(p, bytes);
  std::memset(p, 0xFF, bytes);
  blocks[p] = {bytes, true};
  used_ += bytes;
  return p;
}

bool DeviceMemory::begin_release(void* memory) {
  auto block = blocks.find(static_cast<char*>(memory));
  if (block == blocks.end() || !block->second.live) return false;
  block->second.live = false;
  return true;
}

void DeviceMemory::finish_release(void* memory) {
  auto* p = static_cast<char*>(memory);
  size_t bytes = blocks.at(p).bytes;
  {
    Access access;
    std::memset(p, 0xFF, bytes);
  }
  poison(p, bytes);
  blocks.erase(p);
  used_ -= bytes;
  quarantine.emplace_back(p, span_of(bytes));
  quarantined += span_of(bytes);
  while (quarantined > quarantine_limit) forget_oldest();
}

bool DeviceMemory::release(void* memory) {
  if (!begin_release(memory)) return false;
  finish_release(memory);
  return true;
}

void DeviceMemory::release_all() {
  while (!blocks.empty()) finish_release(blocks.begin()->first);
}

// Returns a freed range to the gaps, joined with its neighbours.
void DeviceMemory::forget_oldest() {
  auto [start, size] = quarantine.front();
  quarantine.pop_front();
  quarantined -= size;
  auto next = gaps.lower_bound(start);
  if (next != gaps.end() && start + size == next->first) {
    size += next->second;
    next = gaps.erase(next);
  }
  if (next != gaps.begin() && std::prev(next)->first + std::prev(next)->second == start)
    std::prev(next)->second += size;
  else
    gaps[start] = size;
}

bool DeviceMemory::in_block(const void* p, size_t bytes) const {
  auto* start = const_cast<char*>(static_cast<const char*>(p));
  auto block = blocks.upper_bound(start);
  if (block == blocks.begin()) return false;
  --block;
  return block->second.live && start + bytes <= block->first + block->second.bytes;
}

void DeviceMemory::explain_fault(const char* address) const {
  char where[100] = "no block there";
  auto block = blocks.upper_bound(const_cast<char*>(address));
  if (block != blocks.begin()) {
    --block;
    size_t offset = size_t(address - block->first), bytes = block->second.bytes;
    if (offset < bytes)
      std::snprintf(where, sizeof where, "%zu bytes into a block of %zu bytes", offset, bytes);
    else if (accesses)
      std::snprintf(where, sizeof where, "%zu bytes past a block of %zu bytes", offset - bytes,
                    bytes);
  }
  const char* thread = whereabouts();
  const char* who = *thread ? "a kernel" : accesses ? "queued work" : "host code";
  std::fprintf(stderr, "simt: %s touched device memory %p, %s%s%s\n", who,
               static_cast<const void*>(address), where, *thread ? "; " : "", thread);
}

}  // namespace simt
