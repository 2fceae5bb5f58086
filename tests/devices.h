// The devices that are there: tests of what runs on every device loop over them.
#pragma once
#include <catch2/catch.hpp>
#include <vector>

#include "kernels/device.h"
#include "tests/skip.h"

namespace retort {

inline std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu};
  if (cuda_missing().empty()) all.push_back(Device::cuda);
  return all;
}

/// Whether a device is there; says that the running test skips itself where it is not.
inline bool have(Device device) {
  if (device == Device::cpu || cuda_missing().empty()) return true;
  skipped(Catch::getResultCapture().getCurrentTestName(), cuda_missing());
  return false;
}

}  // namespace retort
