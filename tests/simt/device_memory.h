// The test device's memory: one reserved range of addresses that only queued work may touch.
#pragma once
#include <cstddef>
#include <deque>
#include <map>

namespace simt {

/// Blocks are filled with 0xFF, aligned to 256 bytes and apart from each other. Freed blocks are
/// not used again at once. Under ASan everything outside live blocks is poisoned.
class DeviceMemory {
 public:
  /// Reserves the range and installs the handler of faults in it.
  static DeviceMemory& get();

  /// Null when the capacity, SIMT_MEMORY bytes or 8 GiB, is used up.
  void* allocate(size_t bytes);
  /// False when there is no live block at `memory`.
  bool release(void* memory);
  /// Like release, but the block stays accessible until finish_release.
  bool begin_release(void* memory);
  void finish_release(void* memory);
  void release_all();

  bool contains(const void* p) const { return p >= base && p < base + reserved; }
  /// True when all of [p, p + bytes) lies in one live block.
  bool in_block(const void* p, size_t bytes) const;
  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }

  /// While one exists, the range is accessible.
  struct Access {
    Access() { get().open(); }
    ~Access() { get().close(); }
    Access(const Access&) = delete;
  };

  /// Prints what was wrong with an access to `address`.
  void explain_fault(const char* address) const;

 private:
  struct Block {
    size_t bytes;
    bool live;  // not begin_release'd
  };

  DeviceMemory();
  void set_protection(int protection);
  void open();
  void close();
  char* place(size_t span);
  void forget_oldest();

  char* base;
  size_t reserved, capacity_, used_ = 0, frontier = 0;
  int accesses = 0;
  std::map<char*, Block> blocks;
  std::map<char*, size_t> gaps;  // free ranges below the frontier
  std::deque<std::pair<char*, size_t>> quarantine;
  size_t quarantined = 0;
};

}  // namespace simt
