// The devices that are there: tests of what runs on every device loop over them.
#pragma once
#include <vector>

#include "kernels/device.h"

namespace retort {

inline std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu};
  if (cuda_missing().empty()) all.push_back(Device::cuda);
  return all;
}

}  // namespace retort
